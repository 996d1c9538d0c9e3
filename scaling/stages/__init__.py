"""What a run does: train from scratch, or start from what another run has learned. One file and one YAML each."""
