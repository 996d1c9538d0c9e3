"""One training step, prepared once for a run; on a GPU it is captured as a graph and replayed."""
