"""The verbs that look at a sweep: its state here and now, and in a browser."""
