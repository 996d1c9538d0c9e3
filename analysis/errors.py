"""Errors that are told to the user in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class Refusal(ValueError):
    """The data cannot say: what is missing for the law asked for (the command line exits with 3)."""


def attempt(make: Callable[[], T]) -> tuple[T | None, str]:
    """Return what was made, or None and the sentence that refused it."""
    try:
        return make(), ""
    except (Refusal, UserError) as refusal:
        return None, str(refusal)
