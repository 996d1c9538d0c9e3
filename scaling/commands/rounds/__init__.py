"""Rounds of runs: what could be run next and what it costs, the sweep of what was chosen, the loop around both."""
