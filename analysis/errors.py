"""Errors that the user sees as one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import click

T = TypeVar("T")
# All but tab and new line, and what turns the direction of text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return text that others may have written without what steers a terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


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


def usage_sentence(error: click.ClickException) -> str:
    """Say what is wrong with a command line; where something is missing, with how the whole is written."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
        command, verbs = error.ctx.command_path, error.ctx.command.list_commands(error.ctx)
        return f"found `{command}` alone; wanted {' or '.join(f'`{command} {verb}`' for verb in verbs)}"
    if not isinstance(error, click.MissingParameter) or error.ctx is None or error.param is None:
        return error.format_message()
    wanted = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
    usage = " ".join(error.ctx.get_usage().removeprefix("Usage:").split())
    return f"found no {wanted}; write `{usage}` (`{error.ctx.command_path} --help` lists the options)"
