"""Runs of one shape trained together: one computation whose tensors have a row for each run."""
