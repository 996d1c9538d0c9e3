"""Verbs that control a sweep while it runs: which runs go first, and pauses."""
