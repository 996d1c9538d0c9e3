"""Figures of the reference paper's experiments: shapes, batches, ablations, augmentations, filters."""
