"""Parse targets on the command line: C=1e18, N=7B,D=1.4T, 300 EFLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

import click

from analysis.errors import UserError
from analysis.typed import words


class Written(click.ParamType):
    """A parameter type for written numbers: 1e12, 1.4T."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raise a usage error for anything else."""
        from analysis.table.recognise.written_numbers import as_number

        number = as_number(value)
        if isnan(number):
            self.fail(f"found {value!r}; wanted a number, such as 1e12 or 1.4T", param, ctx)
        return number


def _parse_numbers(text: str) -> dict[str, list[float]]:
    """Parse N=1e6,D=1e9 (or C=1e18): names and numbers. A name may be given several times."""
    from analysis.table.recognise.written_numbers import as_number

    numbers: dict[str, list[float]] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        number = as_number(value)
        if not equals or not name.strip() or not 0 < number < float("inf"):
            raise UserError(
                f"found the target {text!r}; wanted NAME=POSITIVE NUMBER, such as C=1e18 or N=1e6,D=1e9; for several "
                "targets, give the option several times"
            )
        numbers.setdefault(name.strip(), []).append(number)
    return numbers


def parse_setting(text: str) -> dict[str, float]:
    """Parse one setting: C=1e18, or 1e18 for short, or N=1e6,D=1e9."""
    named = _parse_numbers(text if "=" in text else f"C={text}")
    if any(len(values) > 1 for values in named.values()):
        raise UserError(f"found {text!r}, which names a column twice; wanted one setting, and --at again for another")
    return {name: values[0] for name, values in named.items()}


def parse_compute(texts: Sequence[str]) -> list[float]:
    """Parse target values of C: 1e18, C=1e18, or several separated by commas."""
    found: list[float] = []
    for word in words(texts):
        named = _parse_numbers(word if "=" in word else f"C={word}")
        if set(named) != {"C"}:
            raise UserError(f"found the target {word!r}; wanted a compute in FLOPs, such as --at 1e18")
        found += named["C"]
    return found
