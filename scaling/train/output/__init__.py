"""The files that training writes into a run's folder: journal, checkpoint, kept weights, filters."""
