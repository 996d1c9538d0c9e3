"""What can be said to a user in one sentence."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class ImpossibleRun(UserError):
    """A run that cannot be trained, such as one without a whole batch: its cell is dropped from a sweep, and told."""
