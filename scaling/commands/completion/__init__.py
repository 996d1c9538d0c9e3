"""What a shell completes while a command is typed."""
