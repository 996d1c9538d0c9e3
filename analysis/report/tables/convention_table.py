"""The effect of the convention for N and C on a frontier's exponents, as a table of a report."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.estimates.conventions import Exponents
from analysis.estimates.powerline import PowerLine
from analysis.fitting.card import signed_rows
from analysis.fitting.result import Fit
from analysis.numbers import exponent, interval, percent, shift
from analysis.report.tables.text_table import TextTable

NAMES = ("{y} ~ C^", "best N ~ C^", "best D ~ C^")


def convention_table(found: Sequence[Exponents], y: str, name: str = "") -> TextTable | None:
    """Show a frontier's exponents and its law under each convention; None where there is only one."""
    if len(found) < 2:
        return None
    rows = tuple((one.convention.name, *map(_exponent, one.lines), *_law(one.law)) for one in found)
    heads = ("convention", *(text.format(y=y) for text in NAMES), "exponent above a floor", "floor E")
    columns = "; ".join(f"{one.convention.name}: {one.convention.N} and {one.convention.C}" for one in found)
    note = (
        f"{columns[:1].upper()}{columns[1:]}. Exponents are slopes of lines in log-log through the frontier, without a "
        f"floor, with {percent(found[0].front.level)} intervals; beside them is the law with a floor, if one passes. "
        f"{_difference(found[0], found[-1], y)}"
    )
    title = "Effect of the convention on the exponents" + (f": {name}" if name else "")
    return TextTable("conventions", title, heads, rows, (1, 2, 3, 4, 5), note)


def _difference(first: Exponents, second: Exponents, y: str) -> str:
    """Describe in a sentence how each exponent differs between conventions, and whether the intervals overlap."""
    differences = []
    for name, one, other in zip(NAMES, first.lines, second.lines, strict=True):
        if one is None or other is None:
            continue
        by = other.exponent - one.exponent
        moved = f"{name.format(y=y)[:-5]} by {shift(by)}"
        if one.exponent_interval and other.exponent_interval:
            apart = one.exponent_interval[1] < other.exponent_interval[0]
            apart |= other.exponent_interval[1] < one.exponent_interval[0]
            moved += " (intervals apart)" if apart else " (intervals overlap)"
        differences.append(moved)
    if not differences:
        return ""
    return f"Counting as {second.convention.name} rather than {first.convention.name} moves the exponent of " + (
        ", ".join(differences) + "."
    )


def _exponent(line: PowerLine | None) -> str:
    if line is None:
        return "too few points"
    return f"{exponent(line.exponent)} {interval(line.exponent_interval, exponent)}".rstrip()


def _law(law: Fit | None) -> tuple[str, str]:
    if law is None or "E" not in law.params:
        return "none holds", ""
    written = {name: f"{value} {ends}".rstrip() for name, value, ends in signed_rows(law)}
    return written["exponent"], written["E"]
