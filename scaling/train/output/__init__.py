"""What a run leaves in its folder: journal, checkpoint, kept weights, filters."""
