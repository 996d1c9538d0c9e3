"""What a run takes on a device: speed probe, known speeds, estimates of time and memory."""
