"""Errors that a user can cause, told in one sentence."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""
