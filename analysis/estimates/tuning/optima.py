"""The optimum of a key at each N and D, with intervals, and the key's law in N and D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError
from analysis.estimates.tuning.deviations import Deviations, common_deviations, mean_responses
from analysis.estimates.tuning.key_law import KeyLaw, fit_key_law
from analysis.estimates.tuning.paraboloid import SYMMETRIC, Paraboloid, fit_in_window, fit_paraboloid, parameters
from analysis.estimates.valleys.curve import Parabola
from analysis.fitting.display.plain import PlainData, plain
from analysis.fitting.intervals import percentile
from analysis.numbers import number, percent
from analysis.table.columns import require_columns
from analysis.table.remarks import remarks_of
from analysis.wording import counted, listed

CLOSE = 0.05
"""Decades of D within which runs of one size have the same length: rounding to whole batches varies D slightly."""

STEADY = 0.9
"""Minimum share of resamples with an optimum inside the values tried; below it the optimum counts as flat."""


@dataclass(frozen=True)
class Optimum(PlainData):
    """One N and D: the mean response at each value tried, and the values that minimise it.

    tried: (n, keys); means: (n,). status: ok; edge (the best is the smallest or largest value tried); flat (noise moves
    the optimum outside the values tried); few (too few values for a parabola). best: the optimum if it is ok, else the
    best value tried; interval: of each key; cost: relative increase of the response for a key off by a factor of two.
    """

    N: float
    D: float
    status: str
    reason: str
    best: tuple[float, ...]
    y: float
    interval: tuple[tuple[float, float], ...] | None
    cost: tuple[float, ...] | None
    tried: np.ndarray
    means: np.ndarray
    paraboloid: Paraboloid | None = field(repr=False)
    draws: np.ndarray = field(repr=False)

    @property
    def ok(self) -> bool:
        """Tell whether the optimum can be used in a law."""
        return self.status == "ok"


@dataclass(frozen=True)
class Tuned:
    """The optima of keys over sizes and lengths, and the law of each key (None where it is not determined)."""

    keys: tuple[str, ...]
    y: str
    optima: tuple[Optimum, ...]
    laws: tuple[KeyLaw | None, ...]
    level: float
    warnings: tuple[str, ...]

    @cached_property
    def usable(self) -> tuple[Optimum, ...]:
        """Return the optima that lie inside the values tried."""
        return tuple(optimum for optimum in self.optima if optimum.ok)

    @cached_property
    def cost(self) -> tuple[float, ...] | None:
        """Return the median relative increase of the response for a key off by a factor of two; None without optima."""
        costs = [optimum.cost for optimum in self.usable if optimum.cost]
        return tuple(float(value) for value in np.median(costs, axis=0)) if costs else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers."""
        laws = dict(zip(self.keys, self.laws, strict=True))
        return {
            "keys": list(self.keys),
            "y": self.y,
            "level": self.level,
            "optima": plain(self.optima),
            "laws": plain(laws),
            "rules": {key: law.rule() for key, law in laws.items() if law},
            "cost_of_a_factor_two": self.cost,
            "warnings": list(self.warnings),
        }


def tuned(
    rows: pd.DataFrame,
    *,
    keys: Sequence[str] = ("lr",),
    y: str = "val_loss",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Tuned:
    """Find the values of the keys that minimise y at each N and D, and their laws in N and D.

    rows: final rows with N, D, y and the keys, all positive. A paraboloid in the log keys is fitted to the mean of y
    over seeds near its minimum. Intervals: relative noise is resampled from the deviations of seeds or, with one seed,
    from the residuals. Raises `Refusal` where no N and D has enough values.
    """
    names = [*keys, "N", "D", y]
    require_columns(rows, names)
    rows = rows.dropna(subset=names)
    if rows.empty or (rows[names] <= 0).any(axis=None):
        raise UserError(f"found no rows, or one whose {listed(names)} are not all positive; wanted numbers above zero")
    groups = [group for _, group in rows.groupby(size_and_length(rows), sort=True)]
    tables = [mean_responses(group, list(keys), y) for group in groups]
    common = common_deviations(groups, tables, list(keys), y)
    finder = _Finder(list(keys), common, resamples, level, np.random.default_rng(seed))
    optima = tuple(map(finder.optimum, groups, tables))
    if all(optimum.status == "few" for optimum in optima):
        raise Refusal(f"no size and length has enough values of {listed(keys)} ({optima[0].reason}); try more")
    laws = tuple(_law(optima, index, level, seed) for index in range(len(keys)))
    warnings = (*remarks_of(rows, mixed=False), *_warnings(optima, laws, keys, common.noise))
    return Tuned(tuple(keys), y, optima, laws, level, warnings)


def size_and_length(rows: pd.DataFrame) -> pd.Series:
    """Number the rows by N, D and D_unique (if known), treating lengths within a twentieth of a decade as equal."""
    numbers = rows.groupby("N").ngroup()
    for name in ("D", "D_unique"):
        if name in rows.columns:
            numbers = _split(numbers, rows[name])
    return numbers


def _split(numbers: pd.Series, lengths: pd.Series) -> pd.Series:
    """Renumber rows so that rows of one number have similar lengths, or none is known."""
    logs = pd.to_numeric(lengths).astype(float).map(np.log10)
    logs = logs.fillna(logs.max() + 1)  # unknown lengths are apart from known ones
    order = pd.DataFrame({"number": numbers, "log": logs}).sort_values(["number", "log"], kind="stable")
    return (order["number"].diff().ne(0) | (order["log"].diff() > CLOSE)).cumsum().reindex(lengths.index)


@dataclass(frozen=True)
class _Finder:
    """Finds the optimum of the keys at each N and D; common: what their curves share; rng: of the resamples."""

    keys: list[str]
    common: Deviations
    resamples: int
    level: float
    rng: np.random.Generator

    def optimum(self, group: pd.DataFrame, table: pd.DataFrame) -> Optimum:
        """Find the optimum at one N and D, with resampled ones (k, keys): logarithms, NaN outside the values tried.

        table: the `mean_responses` of the group's rows.
        """
        keys, common = self.keys, self.common
        tried, means = table[keys].to_numpy(float), table["mean"].to_numpy(float)
        z, draws = np.log(tried), np.empty((0, len(keys)))
        paraboloid = fit_paraboloid(z, means[None], Parabola(common.skew.mean))
        minimum = np.full(len(keys), np.nan) if paraboloid is None else paraboloid.minima()[0]
        if paraboloid is not None and self.resamples and len(common.noise):
            draws = self._resampled_minima(paraboloid, z, table["n"])
        status, reason = _status(z, means, minimum, draws, keys)
        if status == "flat" and paraboloid is not None and len(keys) > 1:
            reason += f", or tune without {keys[paraboloid.least()]}, on which it depends least"
        found, lowest = paraboloid if status == "ok" else None, int(np.argmin(means))
        height = float(found.value(minimum[None])[0]) if found else float(means[lowest])
        return Optimum(
            N=float(group["N"].iloc[0]),
            D=float(group["D"].median()),
            tried=tried,
            means=means,
            status=status,
            reason=reason,
            best=tuple(np.exp(minimum).tolist() if found else tried[lowest].tolist()),
            y=height,
            interval=_interval(draws, self.level) if found and len(draws) else None,
            cost=tuple(found.rise(minimum, np.log(2)).tolist()) if found else None,
            paraboloid=paraboloid,
            draws=draws,
        )

    def _resampled_minima(self, paraboloid: Paraboloid, z: np.ndarray, seeds: pd.Series) -> np.ndarray:
        """Return the minima (resamples, keys) of paraboloids fitted to a paraboloid's own values with noise added.

        z: (n, keys), logarithms of the values tried; seeds: number of runs at each. NaN without a minimum inside. The
        skew varies among the resamples, alike for all optima.
        """
        noise, skew, resamples = self.common.noise, self.common.skew, self.resamples
        jitter = np.stack([self.rng.choice(noise, (resamples, n)).mean(axis=1) for n in seeds], axis=1)
        values, minima = paraboloid.value(z) * (1 + jitter), np.full((resamples, z.shape[1]), np.nan)
        shapes = skew.draws() if z.shape[1] == 1 else (SYMMETRIC,)
        for first, shape in enumerate(shapes):
            again = fit_in_window(z, values[first :: len(shapes)], paraboloid.window, shape)
            if again is not None:
                minima[first :: len(shapes)] = again.minima()
        return minima


def _status(
    z: np.ndarray, means: np.ndarray, minimum: np.ndarray, draws: np.ndarray, keys: list[str]
) -> tuple[str, str]:
    wanted = parameters(len(keys)) + 1
    if len(z) < wanted:
        return "few", f"{counted(len(z), 'value')}; wanted {wanted} or more"
    best = z[np.argmin(means)]
    for j, key in enumerate(keys):
        for end, which, more in ((z[:, j].min(), "smallest", "smaller"), (z[:, j].max(), "largest", "larger")):
            if best[j] == end:
                return "edge", f"the best {key} is the {which} tried ({number(float(np.exp(end)))}); try {more} ones"
    if not np.isfinite(minimum).all():
        return "flat", "the curve through the values near the best has no minimum among them; try more values or seeds"
    outside = 1 - float(np.isfinite(draws).all(axis=1).mean()) if len(draws) else 0.0
    if outside > 1 - STEADY:
        return "flat", f"noise puts the optimum outside the values tried in {percent(outside)} of resamples; more seeds"
    return "ok", ""


def _interval(draws: np.ndarray, level: float) -> tuple[tuple[float, float], ...]:
    ends = np.exp(percentile(draws[np.isfinite(draws).all(axis=1)].T, level))
    return tuple((low, high) for low, high in ends.tolist())


def _law(optima: Sequence[Optimum], index: int, level: float, seed: int) -> KeyLaw | None:
    usable = [optimum for optimum in optima if optimum.ok]
    if len(usable) < 2:
        return None
    inputs = {name: np.array([getattr(optimum, name) for optimum in usable]) for name in ("N", "D")}
    drawn = [optimum.draws[:, index] for optimum in usable]
    draws = np.stack(drawn, axis=1) if all(len(one) for one in drawn) else np.empty((0, len(usable)))
    log_key = np.log([optimum.best[index] for optimum in usable])
    return fit_key_law(inputs, log_key, draws=draws, level=level, seed=seed)


def _warnings(
    optima: Sequence[Optimum], laws: Sequence[KeyLaw | None], keys: Sequence[str], noise: np.ndarray
) -> tuple[str, ...]:
    warnings = []
    for status in ("edge", "flat", "few"):
        these = [optimum for optimum in optima if optimum.status == status]
        if these:
            warnings.append(
                f"{len(these)} of {len(optima)} optima stay out of the law: {these[0].reason} (N = "
                f"{number(these[0].N)}, D = {number(these[0].D)})"
            )
    for key, law in zip(keys, laws, strict=True):
        if law is None:
            usable = sum(optimum.ok for optimum in optima)
            warnings.append(
                f"no law of {key}: {usable} of {len(optima)} optima are usable; wanted three, or four with several "
                "sizes and lengths; tune at more of them"
            )
        else:
            warnings.extend(f"{key}: {warning}" for warning in law.warnings)
    if not len(noise):
        warnings.append("no intervals: one seed a value and too few values to see the noise; run several seeds")
    return tuple(warnings)
