"""Errors that a user can cause, each with one sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

# Control characters except tab and newline, and characters that change the direction of text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return text without characters that control a terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class ImpossibleRun(UserError):
    """A run that cannot be trained, such as one without a whole batch; a sweep reports and drops its cell."""


def import_words(error: BaseException) -> str:
    """Return why a user's module cannot be imported; an error in its code is named with its place."""
    if isinstance(error, ImportError | AttributeError | ValueError | TypeError):
        return str(error)
    if isinstance(error, SyntaxError):  # which names its place itself
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error} at {place_of(error)}"


def place_of(error: BaseException, *, library: Path = Path(re.__file__).parents[1]) -> str:
    """Return the last frame of a traceback outside a library, Python's own by default, as FILE:LINE."""
    from traceback import extract_tb

    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(("<", str(library)))]
    return f"{frames[-1].filename}:{frames[-1].lineno}"


@contextmanager
def exits_refused() -> Iterator[None]:
    """Raise UserError for a sys.exit() in a user's code, which would end the command without a word."""
    try:
        yield
    except SystemExit as left:
        # rich and click end like this where the reader of a pipe has gone; click replaces sys.stdout before.
        if isinstance(left.__context__, BrokenPipeError) or type(sys.stdout).__module__.startswith("click."):
            raise
        raise UserError(
            f"found code that ends the command (sys.exit({left.code!r}) at {place_of(left)}); wanted code that can be "
            f'imported and called; take it out, or put it under if __name__ == "__main__"'
        ) from left


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


def check_keys(found: Iterable[str], known: Sequence[str], *, under: str = "") -> None:
    """Raise UserError for a key that is not known; under: the key that they belong to, such as "sweep."."""
    unknown = sorted(set(map(str, found)) - set(known))
    if unknown:
        raise UserError(
            f"found the unknown key {under}{unknown[0]}; {suggestion(unknown[0], known, write=under + '{}')}"
        )
