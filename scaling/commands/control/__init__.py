"""Verbs that control a sweep while it runs: cancel, retry, logs, pause, resume, and which runs go first."""
