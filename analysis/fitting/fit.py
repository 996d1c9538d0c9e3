"""Fit a law to a table: many starts, refits as one batch, a certificate, a refusal where the data cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from analysis.fitting.engine import How, fit_points, weigh
from analysis.fitting.objective import Objective
from analysis.fitting.points import Selection, read_points
from analysis.fitting.result import Fit
from analysis.laws import Law, get_law

if TYPE_CHECKING:
    import pandas as pd


def fit(
    table: pd.DataFrame | str | Path,
    law: str | Law = "chinchilla",
    *,
    y: str = "loss",
    x: str | None = None,
    objective: Literal["huber", "lad", "lsq"] = "huber",
    delta: float = 1e-3,
    space: Literal["log", "raw"] = "log",
    weights: Literal["seeds"] | None = None,
    resamples: int = 1000,
    resample: Literal["runs", "points", "seed", "wild"] = "runs",
    interval: Literal["percentile", "bca"] = "percentile",
    level: float = 0.95,
    seed: int = 0,
    starts: int | None = None,
    rows: Literal["final", "all"] = "final",
    where: str | None = None,
    pool: Sequence[str] = (),
    keep: Sequence[str] = (),
    task: str | None = None,
) -> Fit:
    """Fit a law to the rows of a table (or of the file or results folder of that name).

    `law` is a name, "module:LAW", a law, or "auto": the one that backtests best. `x` names the variable of a
    one-variable law (C where there is one). `rows`, `where`, `pool`, `keep` and `task` choose the rows. The default
    objective is that of Hoffmann et al. 2022: the sum over points of a Huber loss (delta 1e-3) on log y.
    `weights="seeds"` weighs by the inverse variance of seeds.

    Raises `UserError` for bad input and `Refusal` where the data cannot carry the law.
    """
    from analysis.table.read import load_table

    goal = Objective(objective, delta, space)
    how = How(resamples, resample, interval, level, seed, starts)
    selection = Selection(rows, where, tuple(pool), tuple(keep), task)
    frame = load_table(table)
    tried: dict[str, float] = {}
    if law == "auto":
        options = {"objective": objective, "delta": delta, "space": space, "seed": seed, **vars(selection)}
        tried = rank(frame, y, x, options)
        law = next(iter(tried))
    chosen = get_law(law)
    points = read_points(frame, chosen, y=y, x=x, space=space, selection=selection)
    if weights is not None:
        points = weigh(points, weights, space)
    return fit_points(points, chosen, y=y, goal=goal, how=how, tried=tried)


def rank(frame: pd.DataFrame, y: str, x: str | None, options: dict[str, Any]) -> dict[str, float]:
    """Return the candidate laws with their error ahead, best first."""
    from analysis.estimates.backtest import backtest

    scores = backtest(frame, y=y, x=x, resamples=0, **options).scores
    return {score.law: score.error for score in scores if score.splits}
