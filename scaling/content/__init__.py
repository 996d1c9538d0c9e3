"""What a run's keys only name, known by what it holds: files of data, and the user's own code."""
