"""What is on disk of each run: settled, running, failed or missing."""
