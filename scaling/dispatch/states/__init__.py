"""The states of runs, from their files: settled, running, failed or missing."""
