"""The effect of a sweep's learning rates on its exponents, from tuning runs, as a table of a report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import attempt
from analysis.estimates.tuning.sweep_rates import rates_of, tries_of_sweep
from analysis.numbers import exponent, interval, percent, times
from analysis.report.tables.text_table import TextTable

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.tuning.mistuning import Mistuning

HEADS = ("against compute", "exponent as run", "at the best rates", "interval over the uncertainty of these")


def rates_table(source: Path, table: pd.DataFrame, level: float) -> TextTable | None:
    """Tabulate the exponents as run and at the best rates; None without tuning runs beside the sweep, or exponents."""
    beside = tries_of_sweep(source)
    if beside is None:
        return None
    found, _ = attempt(partial(rates_of, table, beside, level=level))
    if found is None:
        return None
    rows = tuple(
        (name, exponent(one.fitted), exponent(one.corrected), interval(one.interval, exponent))
        for name, one in (("best N", found.N), ("best loss", found.y))
    )
    return TextTable("rates", "Effect of the learning rates on the exponents", HEADS, rows, (1, 2, 3), summary(found))


def summary(found: Mistuning) -> str:
    """Describe in a sentence how far the rates are from the optimum, and the cost."""
    low, middle, high = (times(one) for one in found.off)
    cost = f"{percent(found.cost[0])} of the loss ({percent(found.cost[1])} at most)"
    text = f"The rates are {middle} the best ones ({low} to {high}), which costs {cost}."
    if found.extrapolated:
        text += f" {percent(found.extrapolated)} of the runs lie outside the sizes and lengths that were tuned."
    return text
