"""The effect of mistuned learning rates on a sweep: its exponents corrected for the cost of each run's rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from analysis.errors import Refusal, attempt
from analysis.estimates.isoflop import isoflop
from analysis.estimates.tuning.key_law import KeyLaw
from analysis.estimates.tuning.optima import Tuned
from analysis.fitting.display.plain import PlainData
from analysis.fitting.intervals import percentile
from analysis.table.columns import require_columns

DRAWS = 100
"""Number of resampled laws of the key used for the intervals of corrected exponents."""


@dataclass(frozen=True)
class Moved:
    """An exponent as fitted, its value at the best rates, and the interval of that over resampled laws of the rate."""

    fitted: float
    corrected: float
    interval: tuple[float, float] | None

    @property
    def shift(self) -> float:
        """The effect of mistuning on the exponent."""
        return self.fitted - self.corrected


@dataclass(frozen=True)
class Mistuning(PlainData):
    """How far a sweep's values of a key are from the optimum, and the effect on its exponents.

    off: smallest, median and largest ratio of a run's value to the best one; cost: median and largest relative increase
    of y due to it; N, y: exponents of the optimal size and of the lowest y in compute; extrapolated: share of the runs
    whose best value is extrapolated beyond the sizes and lengths that were tuned.
    """

    key: str
    off: tuple[float, float, float]
    cost: tuple[float, float]
    N: Moved
    y: Moved
    extrapolated: float
    level: float


def mistuning(rows: pd.DataFrame, found: Tuned, *, key: str = "lr", y: str = "loss", level: float = 0.95) -> Mistuning:
    """Correct each run's y for the cost of its value of the key, and recompute the isoFLOP exponents.

    rows: final rows with N, D, C, y and the key. The best value is given by the key's law at the run's N and D, the
    cost by the median curvature of the optima. Raises `Refusal` where there is no law, or no exponent.
    """
    index = found.keys.index(key)
    law = found.laws[index]
    if law is None or found.cost is None:
        raise Refusal(f"no law of {key} is known, so what its values cost is not; tune it at more sizes or lengths")
    require_columns(rows, ["N", "D", "C", y, key])
    cost = found.cost[index]
    fitted = _exponents(rows, y)
    corrected = _exponents(_at_best(rows, law.predict(_inputs(rows, law)), key, y, cost), y)
    drawn = _redrawn([_at_best(rows, best, key, y, cost) for best in _drawn(rows, law)], key, y, level)
    off = rows[key].to_numpy(float) / law.predict(_inputs(rows, law))
    rise = _rise(off, cost)
    return Mistuning(
        key=key,
        off=(float(off.min()), float(np.median(off)), float(off.max())),
        cost=(float(np.median(rise)), float(rise.max())),
        N=Moved(fitted[0], corrected[0], _interval([one[0] for one in drawn], level)),
        y=Moved(fitted[1], corrected[1], _interval([one[1] for one in drawn], level)),
        extrapolated=_extrapolated(rows, found),
        level=level,
    )


def _inputs(rows: pd.DataFrame, law: KeyLaw) -> dict[str, np.ndarray]:
    return {name: rows[name].to_numpy(float) for name in law.exponents}


def _rise(off: np.ndarray, cost: float) -> np.ndarray:
    return cost * np.log2(off) ** 2


def _at_best(rows: pd.DataFrame, best: np.ndarray, key: str, y: str, cost: float) -> pd.DataFrame:
    """Return the rows with y corrected to the best values of the key."""
    return rows.assign(**{y: rows[y].to_numpy(float) / (1 + _rise(rows[key].to_numpy(float) / best, cost))})


def _drawn(rows: pd.DataFrame, law: KeyLaw) -> list[np.ndarray]:
    """Return the best value of each run under resampled laws, an even subset of the draws."""
    if not len(law.draws):
        return []
    inputs = _inputs(rows, law)
    design = np.stack([np.ones(len(rows)), *(np.log(x / law.pivots[name]) for name, x in inputs.items())], axis=1)
    picked = np.linspace(0, len(law.draws) - 1, min(DRAWS, len(law.draws))).astype(int)
    return list(np.exp(law.draws[picked] @ design.T))


def _exponents(rows: pd.DataFrame, y: str) -> tuple[float, float]:
    """Return the exponents of the optimal size and of the lowest y in compute; raise `Refusal` without a law."""
    found = isoflop(rows, y=y, resamples=0)
    if found.N_law is None or found.y_law is None:
        raise Refusal(found.warnings[-1] if found.warnings else "no law N*(C) without intervals")
    return found.N_law.exponent, found.y_law.exponent


def _redrawn(tables: Sequence[pd.DataFrame], key: str, y: str, level: float) -> list[tuple[float, float]]:
    """Return the exponents of corrected tables; raise `Refusal` where more have none than an interval leaves out."""
    found = [attempt(partial(_exponents, table, y)) for table in tables]
    lost = [said for _, said in found if said]
    if len(lost) > (1 - level) * len(found):
        raise Refusal(
            f"the best {key} is too uncertain to correct the runs: under {len(lost)} of {len(found)} resampled laws of "
            f"it, {lost[0]}; tune it at more sizes or lengths"
        )
    return [one for one, _ in found if one is not None]


def _interval(values: list[float], level: float) -> tuple[float, float] | None:
    if not values:
        return None
    low, high = percentile(np.array(values), level)
    return float(low), float(high)


def _extrapolated(rows: pd.DataFrame, found: Tuned) -> float:
    """Return the share of runs beyond the sizes and lengths that were tuned, by more than a tenth."""
    outside = np.zeros(len(rows), dtype=bool)
    for name in ("N", "D"):
        tuned = np.array([getattr(optimum, name) for optimum in found.usable])
        x = rows[name].to_numpy(float)
        outside |= (x < tuned.min() / 1.1) | (x > tuned.max() * 1.1)
    return float(outside.mean())
