"""`scaling choose`: which of some candidates to run next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from analysis.errors import Refusal
from analysis.options import (
    FILE,
    SETTINGS,
    LawOption,
    TableChoice,
    X,
    Y,
    answer,
    json_option,
    known_options,
    table_options,
)
from analysis.targets import parse_setting
from analysis.typed import words

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.suggest.suggest import Suggestion

EXAMPLES = """\b
Example:
  scaling choose table.csv --candidates candidates.csv --target N=1e9,D=2e10 --limit 1e20 --cost flops
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@table_options
@click.option("--candidates", required=True, metavar="FILE", type=FILE,
              help="Table of candidate runs: the law's inputs and the cost.")  # fmt: skip
@click.option("--target", "targets", multiple=True, required=True, metavar="C=1e18|N=…,D=…",
              help="Where the law should be known; may be repeated. C alone: at its optimal N and D.")  # fmt: skip
@click.option("--limit", type=click.FloatRange(0, min_open=True), required=True, help="Total cost limit.")
@click.option(
    "--cost", default="cost", show_default=True, metavar="COLUMN", help="Column with the cost of a candidate."
)
@click.option("--of", metavar="loss|N_star|N_exponent|alpha", help="Quantity to know there.  [the response]")
@click.option("--most", type=click.IntRange(1), default=4, show_default=True, help="Runs in this round.")
@click.option("--law", "laws", cls=LawOption, multiple=True, default=["chinchilla"], metavar="LAW,…",
              help="One law, or several, weighted by their backtests: {laws}, or module:NAME.  "
              "[chinchilla]")  # fmt: skip
@Y
@X
@known_options
@click.option("--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True,
              help="Confidence level of the intervals.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the fit's starts.")
@json_option
def choose(
    chosen: TableChoice,
    candidates: str,
    targets: Sequence[str],
    laws: Sequence[str],
    json_path: str | None,
    **asked: Any,
) -> None:
    """Choose from a file of candidates the runs that narrow the interval at a target most for their cost.

    For your own sweep, use `scaling suggest`: it makes the candidates and writes a sweep file.
    """
    import pandas as pd

    from analysis.estimates.suggest.suggest import suggest
    from analysis.table.read import load_table

    pool, target = load_table(candidates), pd.DataFrame([parse_setting(text) for text in targets])
    selection = {**chosen.selection, "recipes": chosen.selection["pool"]}
    del selection["pool"]
    found = suggest(chosen.table(), words(laws), pool=pool, target=target, **asked, **selection)
    answer(found.to_dict(), json_path, lambda: show_suggestion(found, _named(pool, found.rows)))
    if not found.rows:
        raise Refusal(found.reason)


def _named(pool: pd.DataFrame, rows: Sequence[Any]) -> list[str]:
    """Return the overrides of the chosen candidates, or their row labels and sizes in a table without overrides."""
    from analysis.numbers import entry

    if "overrides" in pool.columns:
        return [str(pool["overrides"][row]) for row in rows]
    sizes = [name for name in ("N", "D", "width", "depth", "batch") if name in pool.columns]
    return [", ".join([f"{row}", *(f"{name} = {entry(name, pool[name][row])}" for name in sizes)]) for row in rows]


def show_suggestion(found: Suggestion, names: Sequence[str] = ()) -> None:
    """Print the chosen runs with cost, gain and forecast, and the interval before and after.

    names: of the rows (default: their position).
    """
    from analysis.console import console
    from analysis.laws import LAWS
    from analysis.numbers import interval, measured, number, percent
    from analysis.terminal import notes
    from analysis.terminal_table import table

    out, before, names = console(), found.interval_now, names or [str(row) for row in found.rows]
    if before is None:
        costs = [(name, number(cost)) for name, cost in zip(names, found.costs, strict=True)]
        out.print(table(("candidate", "cost"), costs, right=[1], whole=[0]))
        notes(out, found.warnings)
        return
    rows = []
    for name, cost, after, forecast in zip(names, found.costs, found.after, found.forecasts, strict=True):
        ends = interval((forecast.low, forecast.high), measured)
        rows.append((name, number(cost), percent(1 - after / before), measured(forecast.value), ends))
        before = after
    if rows:
        heads = ("candidate", "cost", "narrower by", "expected", f"{percent(found.level)} of a run")
        out.print(table(heads, rows, right=[1, 2, 3], whole=[0]))
    where = "" if any(found.of in law.params for law in LAWS.values()) else " at the target"
    now = f"{percent(found.level)} interval of {found.of}{where}: ±{percent(found.interval_now or 0.0)} now"
    out.print(f"{now}, ±{percent(before)} after {number(found.cost)}" if rows else now)
    if rows and found.next_gain is not None:
        out.print(f"one more run would cost {number(found.next_cost)} and narrow it by {percent(found.next_gain)}")
    if len(found.laws) > 1:
        weights = ", ".join(f"{name} {percent(weight)}" for name, weight in found.laws.items())
        out.print(f"laws by weight: {weights}")
    notes(out, found.warnings)
