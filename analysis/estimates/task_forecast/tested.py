"""Backtest a two-step task forecast: fit the smaller runs, predict the larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, attempt
from analysis.estimates.selected import fit_selected
from analysis.fitting.engine import fit_law
from analysis.fitting.holdout import cuts_of, size_column
from analysis.fitting.settings import Settings
from analysis.numbers import percent, times

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Law


@dataclass(frozen=True)
class Tested:
    """One hold-out. seen, ahead: fitted and held-out rows of the task; factor: largest size over largest fitted size.

    error, bias: root mean square and mean of log y minus its forecast; direct: error of the first step's law fitted to
    y directly (None: refused).
    """

    seen: int
    ahead: int
    factor: float
    error: float
    bias: float
    direct: float | None


@dataclass(frozen=True)
class Steps:
    """The data of both steps. runs: rows of the first step, with via; linked: rows of the task, with y and 1 / via.

    settings: of a fit of y in one step.
    """

    runs: pd.DataFrame
    linked: pd.DataFrame
    law: Law
    link: Law
    via: str
    settings: Settings


def hold_out(steps: Steps) -> tuple[str, list[Tested]]:
    """Hold out the largest runs at several cuts; return the size column and the results. Raises `Refusal`."""
    by = size_column(steps.linked, None)
    found = list(_tested(steps, by))
    if not found:
        raise Refusal("the smaller runs do not support both steps")
    return by, found


def summary(by: str, found: list[Tested]) -> str:
    """Describe the errors of the two-step forecast and of the direct fit in a sentence."""
    off = percent(_rms([one.error for one in found]))
    both = f"backtests of both steps: off by {off} (rms), up to {times(max(one.factor for one in found))} ahead in {by}"
    direct = [one.direct for one in found if one.direct is not None]
    return f"{both}; in one step, {percent(_rms(direct))}" if len(direct) == len(found) else both


def _tested(steps: Steps, by: str) -> Iterator[Tested]:
    settings = replace(steps.settings, search=replace(steps.settings.search, resamples=0, majority=True))
    y, via = settings.y, f"1/{steps.via}"
    size, small = (table[by].to_numpy(dtype=float) for table in (steps.linked, steps.runs))
    for cut in cuts_of(size, by):
        held_out, seen = steps.linked[size > cut], steps.linked[size <= cut]
        runs = steps.runs[small <= cut]
        first, _ = attempt(partial(fit_law, runs, steps.law, replace(settings, y=steps.via)))
        second, _ = attempt(partial(fit_selected, seen, steps.link, y=y, x=via, resamples=0))
        if first is None or second is None:
            continue
        direct, _ = attempt(partial(fit_law, seen, steps.law, settings))
        truth = np.log(held_out[y].to_numpy(dtype=float))
        rest = truth - np.log(second.predict({via: 1 / first.predict(held_out)}))
        straight = None if direct is None else _rms(truth - np.log(direct.predict(held_out)))
        factor = float(size.max() / cut)
        yield Tested(len(seen), len(held_out), factor, _rms(rest), float(rest.mean()), straight)


def _rms(values: object) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=float)))))
