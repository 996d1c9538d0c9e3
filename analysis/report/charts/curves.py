"""The learning curves of runs, for the page's script."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.figures.learning import LOSSES
from analysis.report.charts.axes import numbers

MOST_POINTS = 100_000
"""Maximum number of curve points on a page; curves of further runs are in their logs alone."""


def curves_of(curves: pd.DataFrame) -> dict[str, dict[str, list[Any]]]:
    """Return step and losses of each run."""
    rows = curves.head(MOST_POINTS).sort_values(["run_id", "step"])
    found = {}
    for run, points in rows.groupby("run_id", sort=False):
        known = [name for name in LOSSES if points[name].notna().any()]
        found[str(run)] = {name: numbers(points[name].to_numpy(float)) for name in ("step", *known)}
    return found
