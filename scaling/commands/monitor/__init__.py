"""The verbs that show a sweep: its status in a terminal, and in a browser."""
