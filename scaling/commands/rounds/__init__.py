"""Rounds of runs: candidates and their costs, the sweep of the chosen ones, and the loop around both."""
