"""The time and memory of a run on a device: speed probe, known speeds, estimates."""
