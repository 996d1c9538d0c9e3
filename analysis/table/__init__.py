"""Tables of runs: read them, join plan and records, select rows and groups."""
