"""Backtests: fit laws to the smaller runs, predict the larger ones, and score the extrapolation error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.engine import fit_law
from analysis.fitting.points import Selection
from analysis.fitting.settings import Settings
from analysis.laws import Law, joint_laws, laws_of_one_variable
from analysis.table.columns import as_numbers, with_compute
from analysis.table.remarks import with_left_out
from analysis.table.select import select_rows

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import Fit

KEPT = (0.5, 0.65, 0.8)
"""Fractions of the distinct sizes used for fitting, one backtest each."""
UNTESTED = 1e3
"""Minimum error assigned to a law that refuses some splits, so that it ranks behind laws tested on all of them."""
MANY = 10_000
"""Maximum number of held-out rows used to estimate coverage; a random sample is taken of more."""


@dataclass(frozen=True)
class Split:
    """One backtest: rows fitted and held out, extrapolation factor, error and coverage (nan without resamples)."""

    seen: int
    ahead: int
    factor: float
    error: float
    bias: float
    coverage: float


@dataclass(frozen=True)
class Score:
    """A law's backtests: root mean square error of log y over all splits, and the coverage of its intervals."""

    law: str
    error: float
    coverage: float
    splits: tuple[Split, ...]
    refused: tuple[str, ...]


def candidates(rows: pd.DataFrame, x: str | None) -> tuple[Law, ...]:
    """Return the default candidates: laws in N and D if the rows have both and x is None, else one-variable laws."""
    return laws_of_one_variable() if x is not None or not {"N", "D"} <= set(rows.columns) else joint_laws()


def size_column(rows: pd.DataFrame, x: str | None) -> str:
    """Return the column that orders runs by size."""
    return x or ("C" if "C" in rows.columns else "D")


def rows_by_size(
    frame: pd.DataFrame, settings: Settings, *, by: str | None = None
) -> tuple[pd.DataFrame, str, Settings]:
    """Select the rows of a backtest; return them with the column that orders them by size and the settings of fits.

    These settings leave out the conditions that the rows satisfy already. by: the column (default: `size_column`).
    """
    selection, along = settings.selection, (settings.x,) if settings.x else ()
    rows = with_compute(with_left_out(*select_rows(frame, y=settings.y, along=along, **vars(selection))))
    by = by or size_column(rows, settings.x)
    chosen = Selection(rows=selection.rows, pool=selection.pool, keep=selection.keep)
    return as_numbers(rows, [by]), by, replace(settings, selection=chosen)


def score_laws(rows: pd.DataFrame, laws: Sequence[Law], settings: Settings, *, by: str) -> list[Score]:
    """Fit each law to the smaller runs and score it on the larger ones; best first.

    by: the column that orders runs by size. Raises `Refusal` where no law can be tested.
    """
    sizes = rows[by].to_numpy(dtype=float)
    cuts = cuts_of(sizes, by)
    settings = replace(settings, search=replace(settings.search, majority=True))
    scores = [_score(rows, sizes, cuts, law, settings) for law in laws]
    if all(not score.splits for score in scores):
        raise Refusal(f"no law could be backtested by {by}: {scores[0].refused[0]}")
    return sorted(scores, key=lambda score: (score.error, score.law))


def cuts_of(sizes: np.ndarray, by: str) -> list[float]:
    """Return the largest fitted size of each split (see `KEPT`); raise `Refusal` for fewer than 4 distinct sizes."""
    distinct = np.unique(sizes[np.isfinite(sizes)])
    if len(distinct) < 4:
        raise Refusal(f"found {len(distinct)} distinct values of {by}; a backtest needs at least 4")
    return sorted({float(distinct[min(len(distinct) - 2, max(1, round(share * len(distinct)) - 1))]) for share in KEPT})


def _score(rows: pd.DataFrame, sizes: np.ndarray, cuts: list[float], law: Law, settings: Settings) -> Score:
    splits, refused = [], []
    for cut in cuts:
        ahead = rows[sizes > cut]
        try:
            found = fit_law(rows[sizes <= cut], law, settings)
        except Refusal as refusal:
            refused.append(str(refusal))
            continue
        splits.append(_split(found, ahead, int((sizes <= cut).sum()), float(sizes[sizes > cut].max() / cut)))
    error = float(np.sqrt(np.mean([split.error**2 for split in splits]))) if splits else float("inf")
    coverage = float(np.average([s.coverage for s in splits], weights=[s.ahead for s in splits])) if splits else 0.0
    if refused and splits:
        error = max(error, UNTESTED)
    return Score(law.name, error, coverage, tuple(splits), tuple(refused))


def _split(found: Fit, ahead: pd.DataFrame, seen: int, factor: float) -> Split:
    """Compare a fit with the held-out runs."""
    rest = np.log(ahead[found.y].to_numpy(dtype=float) / found.predict(ahead))
    inside = float("nan")
    if found.engine.samples is not None:
        asked = ahead if len(ahead) <= MANY else ahead.sample(MANY, random_state=0)
        low, high = found.interval(asked, kind="run")
        inside = float(np.mean((asked[found.y] >= low) & (asked[found.y] <= high)))
    return Split(seen, len(ahead), factor, float(np.sqrt(np.mean(rest**2))), float(rest.mean()), inside)
