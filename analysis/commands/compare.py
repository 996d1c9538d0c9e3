"""`scaling compare`: whether one recipe, family or data set is better than another, and by how much compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from analysis.errors import UserError
from analysis.options import TableChoice, answer, fit_options, interval_options, json_option, table_options

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.multiplier import Comparison

EXAMPLES = """\b
Examples:
  scaling compare results/mine --by family
  scaling compare results/plain --with results/better
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@table_options
@click.option("--by", metavar="COLUMN", help="The column whose two values are compared, such as family or optim.")
@click.option("--with", "other", metavar="TABLE", help="Compare with this table instead: the second of the two.")
@click.option("--values", metavar="A,B", help="The two values of --by, the one to be beaten first.")
@fit_options
@interval_options
@json_option
def compare(
    chosen: TableChoice, by: str | None, other: str | None, values: str | None, json_path: str | None, **how: Any
) -> None:
    """Say how much more compute the first of two needs for the second's loss, along their fitted frontiers.

    With an interval, its trend over compute, whether they share exponents, the runs that would tell smaller
    differences, and the compute from which the order may turn.
    """
    from dataclasses import replace

    from analysis.estimates.multiplier import compare as find

    if (by is None) == (other is None):
        raise UserError("found no --by or --with, or both; wanted one of them: a column, or a second table; give one")
    if other is not None:
        groups = {chosen.source.rstrip("/"): chosen.table(), other.rstrip("/"): replace(chosen, source=other).table()}
    else:
        groups = split(chosen.table(), str(by), values.split(",") if values else ())
    selection = {**chosen.selection, "pool": (*chosen.selection["pool"], *([by] if by else []))}
    found = find(groups, **how, **selection)
    answer(found.to_dict(), json_path, lambda: show_comparison(found))


def split(table: pd.DataFrame, by: str, values: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the rows of each of two values of a column; `UserError` where there are not two."""
    from analysis.wording import listed

    if by not in table.columns:
        raise UserError(f"found no column {by!r} among {listed(table.columns)}; wanted one to compare by; change --by")
    words = table[by].astype(str)
    known = list(dict.fromkeys(words[table[by].notna()]))
    wanted = list(values) or known
    unknown = [value for value in wanted if value not in known]
    if unknown or len(wanted) != 2:
        said = f"found {', '.join(unknown or wanted) or 'no value'} in --values or {by}"
        raise UserError(f"{said}; wanted two of {', '.join(known)}; choose them with --values A,B")
    return {value: table[words == value].reset_index(drop=True) for value in wanted}


def show_comparison(found: Comparison) -> None:
    """Print the multiplier, its trend, the exponents and what it would take to tell more."""
    from analysis.numbers import exponent, flops, interval, measured, number, percent, times
    from analysis.terminal import console, notes, table

    out = console()
    rows = [(flops(p.C), measured(p.y), times(p.multiplier), interval(p.interval, times)) for p in found.points[::6]]
    out.print(
        table((f"C of {found.second}", found.y, f"{found.first} needs", f"{percent(found.level)} interval"), rows)
    )
    mean = f"{times(found.multiplier)} {interval(found.interval, times)}"
    out.print(f"{found.first} needs {mean} the compute of {found.second} for the same {found.y}: {found.verdict}")
    out.print(f"trend: multiplier ~ C^{exponent(found.trend)} {interval(found.trend_interval, exponent)}")
    for one in found.exponents:
        said = "may be shared" if one.shared else "differs"
        ends = interval(one.difference, exponent)
        values = f"{exponent(one.first)} and {exponent(one.second)}"
        out.print(f"{one.name}: {values}, {said} (difference {ends}, p {number(one.p, 1)})")
    needs = ", ".join(f"{times(told)}: {number(factor, 2)}" for told, factor in found.runs_for.items())
    out.print(f"times the {sum(found.runs)} runs that would tell a multiplier of {needs}")
    turn = f"from {flops(found.turns)} FLOPs on" if found.turns else "not within 10,000 times these computes"
    out.print(f"beyond the runs the order may turn {turn}")
    notes(out, found.warnings)
