"""Errors that a user can cause, each with one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

# Control characters except tab and newline, and characters that change the direction of text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return text without characters that control a terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class ImpossibleRun(UserError):
    """A run that cannot be trained, such as one without a whole batch; a sweep reports and drops its cell."""


def import_words(error: Exception) -> str:
    """Return why a user's module cannot be imported; an error in its code is named with its place."""
    from traceback import extract_tb

    if isinstance(error, ImportError | AttributeError | ValueError | TypeError):
        return str(error)
    if isinstance(error, SyntaxError):  # which names its place itself
        return f"{type(error).__name__}: {error}"
    places = [frame for frame in extract_tb(error.__traceback__) if frame.filename[0] != "<"]
    return f"{type(error).__name__}: {error} at {places[-1].filename}:{places[-1].lineno}"


_refusals: dict[str, str] = {}  # by what was checked, '' where nothing is wrong


def check_once(what: str, check: Callable[[], None]) -> None:
    """Raise the UserError of a check, which is called once a process for each `what`."""
    if what not in _refusals:
        try:
            check()
            _refusals[what] = ""
        except UserError as error:
            _refusals[what] = str(error)
    if _refusals[what]:
        raise UserError(_refusals[what])


def suggestion(name: str, known: Iterable[str], *, write: str = "{}") -> str:
    """Return the end of an error about an unknown name: the nearest known one, or a list of all.

    write: how the nearest is written, such as "model={}".
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {write.format(near[0])}?" if near else f"wanted one of {', '.join(names)}"
