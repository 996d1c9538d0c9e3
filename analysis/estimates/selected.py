"""Fit a law to rows that are already selected, without checking recipes and flags again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.fitting.fit import fit
from analysis.table.select import KEEPABLE, RECIPE, has_milestones

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import Fit
    from analysis.laws import Law


def fit_selected(rows: pd.DataFrame, law: str | Law, *, y: str, x: str | None = None, **resampling: Any) -> Fit:
    """Fit a law to all given rows. resampling: resamples, level and seed, as for fit."""
    return fit(
        rows,
        law=law,
        y=y,
        x=x,
        rows="all" if has_milestones(rows) else "final",
        pool=RECIPE,
        keep=KEEPABLE,
        **resampling,
    )
