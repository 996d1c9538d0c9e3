"""What users type on the command line: columns, constraints, conditions, lists of words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from analysis.errors import UserError


def where_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option --where; conditions given several times are joined by `and`. text: its help."""

    def joined(_context: click.Context, _option: click.Parameter, texts: Sequence[str]) -> str | None:
        given = [text for text in texts if text.strip()]
        return " and ".join(f"({one})" for one in given) if len(given) > 1 else next(iter(given), None)

    more = f"{text.removesuffix('.')}; may be repeated."
    return click.option("--where", multiple=True, callback=joined, metavar='"loss < 3.4"', help=more)


def parsed_by(parse: Callable[[Sequence[str]], Any]) -> Callable[..., Any]:
    """Return the callback of an option that parses what was typed, also if it was given several times."""
    return lambda _context, _option, texts: parse(texts)


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Parse N=Model Size,C="Training FLOP", possibly given several times.

    Quotes are needed around a name that has a comma before something with =.
    """
    columns: dict[str, str] = {}
    for text in texts:
        pairs = re.findall(r"""([^=,]+)=("[^"]*"|'[^']*'|(?:[^,]|,(?![^,=]+=|$))*)(?:,|$)""", text)
        if not pairs or ",".join(f"{name}={value}" for name, value in pairs) != text.rstrip(","):
            raise UserError(f'found --columns {text!r}; wanted NAME=COLUMN pairs such as N="Model Size",C=flops')
        for name, value in pairs:
            if name.strip() in columns:
                raise UserError(f"found --columns with two columns for {name.strip()}; wanted one; take one out")
            columns[name.strip()] = value.strip().strip("\"'")
    return columns


def shown_column(column: str) -> str:
    """Write a column's name in the syntax of --columns: in quotes if it contains a comma."""
    return f'"{column}"' if "," in column else column


def parse_fixed(texts: Sequence[str]) -> dict[str, float]:
    """Parse E=1.6,alpha=0.34: parameters and numbers."""
    try:
        return {name: float(value) for name, value in parse_tied(texts).items()}
    except ValueError:
        raise UserError(f"found --fix {','.join(texts)}; wanted PARAMETER=NUMBER, such as E=1.6") from None


def parse_tied(texts: Sequence[str]) -> dict[str, str]:
    """Parse alpha=beta: pairs of names."""
    pairs = [word.partition("=") for word in words(texts)]
    for name, equals, value in pairs:
        if not (name.strip() and value.strip()):
            raise UserError(f"found {name}{equals}{value}; wanted --fix E=1.6 or --tie alpha=beta")
    return {name.strip(): value.strip() for name, _, value in pairs}


def words(texts: Sequence[str]) -> tuple[str, ...]:
    """Split a,b and repeated options into words."""
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())
