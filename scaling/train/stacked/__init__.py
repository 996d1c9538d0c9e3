"""Train runs of the same shape together, in one computation whose tensors have a row for each run."""
