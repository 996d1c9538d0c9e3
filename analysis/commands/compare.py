"""`scaling compare`: whether one recipe, family or data set is better than another, and by how much compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis.errors import UserError
from analysis.options import (
    FILE,
    SETTINGS,
    TableChoice,
    answer,
    fit_options,
    interval_options,
    json_option,
    table_options,
)
from analysis.typed import words

if TYPE_CHECKING:
    from analysis.estimates.multiplier import Comparison

EXAMPLES = """\b
Examples:
  scaling compare results/mine --by family --figures
  scaling compare results/plain --with results/better
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@table_options
@click.option("--by", metavar="COLUMN", help="The column whose two values are compared, such as family or optim.")
@click.option("--with", "other", metavar="TABLE", type=FILE, help="Compare with this second table instead.")
@click.option("--values", metavar="A,B", help="The two values of --by, the baseline first.")
@click.option("--figures", is_flag=True, help="Save figures/comparison….png, .pdf and .svg in the results folder.")
@fit_options
@interval_options
@json_option
def compare(
    chosen: TableChoice,
    by: str | None,
    other: str | None,
    values: str | None,
    figures: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Compare two fitted frontiers: how much more compute does the first need for the loss of the second?

    The answer has an interval, the trend over compute, whether exponents differ, how many runs would detect smaller
    differences, and the compute from which the order may turn.
    """
    from dataclasses import replace

    from analysis.estimates.compared_groups import two_of
    from analysis.estimates.multiplier import compare as find
    from analysis.report.drawing import picture
    from analysis.report.law_figures import comparison_figure

    if (by is None) == (other is None):
        raise UserError("found no --by or --with, or both; wanted one of them: a column, or a second table; give one")
    if other is not None:
        groups = {chosen.source.rstrip("/"): chosen.table(), other.rstrip("/"): replace(chosen, source=other).table()}
    else:
        groups = two_of(chosen.table(), str(by), words([values] if values else ()))
    selection = {**chosen.selection, "pool": (*chosen.selection["pool"], *([by] if by else []))}
    found = find(groups, **options, **selection)
    folder, suffix = Path(chosen.source if Path(chosen.source).is_dir() else ".") / "figures", f"_{by}" if by else ""
    drawn = [str(p) for p in picture(comparison_figure(found), folder, suffix=suffix).files] if figures else []
    content = {**found.to_dict(), **({"figures": drawn} if figures else {})}
    answer(content, json_path, lambda: show_comparison(found, drawn))


def show_comparison(found: Comparison, drawn: Sequence[str] = ()) -> None:
    """Print the multiplier, its trend, the exponents, the runs needed to detect less, and the figure's path."""
    from analysis.console import console
    from analysis.numbers import estimated_times, exponent, flops, interval, measured, p_value, percent, times
    from analysis.terminal import notes
    from analysis.terminal_table import table

    out = console()
    rows = [
        (flops(p.C), measured(p.y), estimated_times(p.multiplier), interval(p.interval, estimated_times))
        for p in found.points[::6]
    ]
    out.print(
        table((f"C of {found.second}", found.y, f"{found.first} needs", f"{percent(found.level)} interval"), rows)
    )
    out.print(found.sentence)
    out.print(f"trend: multiplier ~ C^{exponent(found.trend)} {interval(found.trend_interval, exponent)}")
    for one in found.exponents:
        verdict = "may be shared" if one.shared else "differs"
        ends = interval(one.difference, exponent)
        values = f"{exponent(one.first)} and {exponent(one.second)}"
        out.print(f"{one.name}: {values}, {verdict} (difference {ends}, {p_value(one.p)})")
    these, enough = sum(found.runs), [detectable for detectable, factor in found.runs_for.items() if factor <= 1]
    needs = [f"{times(f)} these {these} for {times(detectable)}" for detectable, f in found.runs_for.items() if f > 1]
    needs += [f"these {these} for {times(min(enough))} and more"] if enough else []
    out.print(f"runs needed to detect a multiplier: {', '.join(needs)}")
    turn = f"may turn from {flops(found.turns)} FLOPs on" if found.turns else "stays up to 10,000 times these computes"
    out.print(f"beyond the runs the order {turn}")
    notes(out, found.warnings)
    for path in drawn:
        out.print(path)
