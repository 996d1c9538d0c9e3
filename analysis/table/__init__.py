"""Tables of runs: reading them, joining plan and records, choosing rows and groups."""
