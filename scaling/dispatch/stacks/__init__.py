"""Runs of one stack key that a worker trains together."""
