"""Errors that are shown to the user as one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import click

T = TypeVar("T")
# Control characters except tab and new line, and marks that change the direction of text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return untrusted text without terminal control characters."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class UserError(ValueError):
    """Bad input: what was found, what was wanted, what to do (the command line exits with 2)."""


class Refusal(ValueError):
    """The data do not support the requested result: what is missing (the command line exits with 3)."""


def check_words(**options: object) -> None:
    """Raise `UserError` unless each option is a word or None."""
    for name, value in options.items():
        if not isinstance(value, str | None):
            raise UserError(f"found a {type(value).__name__} as {name}; wanted a name in words")


def attempt(make: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result of make, or None and the sentence of its refusal."""
    try:
        return make(), ""
    except (Refusal, UserError) as refusal:
        return None, str(refusal)


def home_sentence(error: RuntimeError) -> str:
    """Describe what is wrong with a path such as ~name/x; any other error is raised again."""
    if "home directory" not in str(error):  # pathlib's words
        raise error
    return "found ~ before a name that no user here has; wanted ~/ or another path; change it"


def usage_sentence(error: click.ClickException) -> str:
    """Describe what is wrong with a command line; if an argument is missing, add the usage."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
        command, verbs = error.ctx.command_path, error.ctx.command.list_commands(error.ctx)
        return f"found `{command}` alone; wanted {' or '.join(f'`{command} {verb}`' for verb in verbs)}"
    if not isinstance(error, click.MissingParameter) or error.ctx is None or error.param is None:
        return error.format_message()
    wanted = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
    usage = " ".join(error.ctx.get_usage().removeprefix("Usage:").split())
    return f"found no {wanted}; write `{usage}` (`{error.ctx.command_path} --help` lists the options)"
