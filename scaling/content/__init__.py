"""Digests of what a run's keys only name: data files, and the user's own code."""
