"""Compute budgets: that of each row, and losses adjusted from the compute actually spent to the budget."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.numbers import flops, percent
from analysis.table.columns import require_columns
from analysis.table.select import RECIPE, with_rules

GAP = 0.1
"""Gap in log10 C that separates two compute budgets, in a table without a column budget."""

SPREAD = 0.3
"""Maximum spread in log10 C of the runs of one budget."""
OFF = 5.0
"""Factor between a column budget and C from which the budget is not in FLOPs."""
NEARLY = 0.05
"""Minimum distance in log C between two budgets for computing a slope."""


def budgets(rows: pd.DataFrame) -> pd.Series:
    """Return the compute budget of each row in FLOPs: the column budget, or the centre of its cluster in log C.

    A column budget far from C names budgets, or is in other units: then each is the median C of its rows. Raises
    `Refusal` where C does not fall into clusters.
    """
    if "budget" in rows.columns and rows["budget"].notna().all():
        given = rows["budget"].astype(float)
        own = rows["C"].groupby(given).transform("median") if "C" in rows.columns else given
        with np.errstate(all="ignore"):
            return own if np.median(np.abs(np.log(given / own))) > np.log(OFF) else given
    require_columns(rows, ["C"])
    log_C = np.log10(rows["C"].to_numpy(float))
    order = np.argsort(log_C, kind="stable")
    label = np.empty(len(rows), dtype=int)
    label[order] = np.concatenate([[0], np.cumsum(np.diff(log_C[order]) > GAP)])
    centres = np.empty(label.max() + 1)
    for group in range(len(centres)):
        members = log_C[label == group]
        if np.ptp(members) > SPREAD:
            raise Refusal(
                f"C does not fall into budgets: from {flops(10 ** members.min())} to {flops(10 ** members.max())} "
                f"FLOPs it has no gap of {GAP} decades; wanted several sizes at each of a few budgets, or a column "
                "budget"
            )
        centres[group] = 10 ** np.median(members)
    return pd.Series(centres[label], index=rows.index)


def at_budget(table: pd.DataFrame, y: str) -> pd.DataFrame:
    """Adjust each cell's y from the C actually spent to its nominal budget, along the loss curve of its size.

    Whole batches make large models at small budgets fall short by up to a batch, which tilts the curve over N. The
    slope of log y in log C is taken between neighbouring budgets; a size run at one budget is not adjusted.
    """
    shape = [name for name in ("family", "width", "depth", "expansion", "data", "N", *RECIPE) if name in table.columns]
    log_C, log_y = np.log(table["C"].to_numpy(float)), np.log(table[y].to_numpy(float))
    short = np.log(table["budget"].to_numpy(float)) - log_C
    moved = log_y.copy()
    for members in with_rules(table).groupby(shape, dropna=False, sort=False).indices.values():
        order = np.asarray(members)[np.argsort(log_C[members], kind="stable")]
        if len(order) > 1 and (np.diff(log_C[order]) > NEARLY).all():
            moved[order] += np.gradient(log_y[order], log_C[order]) * short[order]
    return table.assign(**{y: np.exp(moved)}, short=short)


def moved_words(table: pd.DataFrame) -> tuple[str, ...]:
    """Say by how much C differs from its budget, where by 2 % or more."""
    most = float(-np.expm1(-table["short"].abs().max()))
    if most < 0.02:
        return ()
    return (f"C differs from its budget by up to {percent(most)}; losses are moved to it along each size's own curve",)
