"""Augmentations, drawn on the device: one file and one YAML each."""
