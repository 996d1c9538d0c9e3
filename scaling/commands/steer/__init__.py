"""Verbs that steer a sweep while it runs: which runs go first, and when none does."""
