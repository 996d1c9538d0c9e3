"""Fit a law to a table: many starts, refits as one batch, a verdict, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analysis.errors import UserError
from analysis.fitting.result import Fit
from analysis.fitting.settings import settings_of
from analysis.fitting.verdict.choose import choose
from analysis.fitting.verdict.fit_and_judge import fit_and_judge
from analysis.laws import Law, constrained, get_law
from analysis.table.read import load_table

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
    run_column: str | None = None,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
) -> Fit:
    """Fit a law to the rows of a table (or of the file or results folder of that name).

    law: a name, "module:LAW", a law, or "auto": of those that pass, the best by backtest. x: the variable of a law of
    one variable (default C, if the table has it). rows, where, pool, keep, task: which rows are used; run_column: the
    column that names their runs. objective, delta, space: by default that of Hoffmann et al. 2022, the sum over points
    of a Huber loss on log y. weights: "seeds" weights by the inverse variance of seeds.

    Raises `UserError` for bad input and `Refusal` where the data do not support the law.
    """
    settings = settings_of(
        y=y,
        x=x,
        objective=objective,
        delta=delta,
        space=space,
        weights=weights,
        rows=rows,
        where=where,
        pool=pool,
        keep=keep,
        task=task,
        run_column=run_column,
        resamples=resamples,
        resample=resample,
        interval=interval,
        level=level,
        seed=seed,
        starts=starts,
    )
    frame = load_table(table)
    if isinstance(law, str) and law == "auto":
        if fix or tie:
            raise UserError("found fix or tie beside law='auto'; wanted the law whose parameters they are; name it")
        return choose(frame, settings)
    return fit_and_judge(frame, constrained(get_law(law), fix, tie), settings)
