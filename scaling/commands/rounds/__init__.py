"""Rounds of `scaling suggest` and `extend`: candidates and their costs, the sweep of the chosen ones, the loop."""
