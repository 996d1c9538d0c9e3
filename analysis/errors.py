"""What can be said to a user in one sentence."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class Refusal(ValueError):
    """The data cannot say: what is missing for the law asked for (the command line exits with 3)."""
