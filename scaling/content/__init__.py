"""Digests of data files and the user's own code, which a run's keys only name."""
