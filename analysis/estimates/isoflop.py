"""isoFLOP curves: loss against N at each compute budget, its minimum, and the law N*(C) through the minima."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.estimates.mixed_kinds import best_kinds, refuse_mixed_kinds
from analysis.estimates.powerline import PowerLine, power_line
from analysis.estimates.selected import fit_selected
from analysis.estimates.valleys.curve import FEWEST_SIZES, Parabola, Shape, Valley, find_minima
from analysis.estimates.valleys.misfit import misfits, scatter_words, unequal
from analysis.estimates.valleys.noise import Noise, draw_minima, noise_of
from analysis.estimates.valleys.skew import common_skew
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.display.plain import PlainData, plain
from analysis.numbers import count, flops, percent
from analysis.table.budgets import at_budget, budgets, moved_words
from analysis.table.cells import cells
from analysis.table.columns import as_numbers, require_positive, require_response, with_compute
from analysis.table.recognise.roles import refuse_rising
from analysis.table.remarks import remarks_of, with_remarks
from analysis.table.repeats import distinct
from analysis.wording import counted

BRACKETED = 0.9
"""Share of resamples whose minimum must lie inside the sizes run, else the curve counts as flat."""
BANDS = {"0.1%": 1e-3, "1%": 1e-2}
"""Shares of the minimum within which the range of sizes is given."""
MIN_BUDGETS = 3
"""Minimum number of budgets with a usable minimum for a law N*(C)."""


@dataclass(frozen=True)
class Minimum(PlainData):
    """One budget: the means over seeds, adjusted to the budget (`at_budget`), and the minimum of the fitted curve.

    status: ok; edge (the best size is the smallest or largest run); flat (noise moves the minimum outside the sizes
    run); few (fewer than four sizes). Unless it is ok, N is the best size run, not a minimum.
    """

    budget: float
    C: float
    status: str
    reason: str
    N: float
    N_interval: tuple[float, float] | None
    D: float
    y: float
    bands: dict[str, tuple[float, float]]
    share_bracketed: float | None
    sizes: tuple[float, ...]
    means: tuple[float, ...]
    seeds: tuple[int, ...]
    curve: tuple[tuple[float, ...], tuple[float, ...]] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Tell whether the minimum can be used in a law."""
        return self.status == "ok"


@dataclass(frozen=True, repr=False)
class IsoFlop(InNotebook):
    """The minimum at each budget, and the laws fitted to the usable minima (None if there are too few)."""

    y: str
    shape: str
    minima: tuple[Minimum, ...]
    N_law: PowerLine | None
    D_law: PowerLine | None
    y_law: PowerLine | None
    level: float
    resamples: int
    warnings: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Say whether the curves fit their points: ok, or weak with reasons."""
        return "weak" if self.reasons else "ok"

    @property
    def usable(self) -> tuple[Minimum, ...]:
        """Return the minima that are bracketed by the sizes run."""
        return tuple(minimum for minimum in self.minima if minimum.ok)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers."""
        parts = {**vars(self), "budgets": self.minima, "n_usable": len(self.usable), "status": self.status}
        names = ("y", "shape", "level", "resamples", "budgets", "N_law", "D_law", "y_law", "n_usable", "status")
        return {name: plain(parts[name]) for name in (*names, "reasons", "warnings")}


def isoflop(
    rows: pd.DataFrame,
    *,
    y: str = "loss",
    shape: Literal["parabola", "chinchilla"] | Shape = "parabola",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> IsoFlop:
    """Find the minimum of y over N at each compute budget of the selected rows, and fit N*(C) through the minima.

    rows: final rows with N, C, y and D (without D, C = 6 N D is assumed). shape: a parabola in log N near the minimum,
    with one skew for all budgets; or the curve of a Chinchilla law, fitted to the rows or with these exponents.
    Intervals: relative noise is resampled from the deviations of seeds, or from the curves' residuals where there is
    one seed. Raises `Refusal` where no budget has three sizes.
    """
    require_response(y, ("N", "D", "C"))
    if shape == "chinchilla":
        shape = Shape.of(fit_selected(rows, "chinchilla", y=y, resamples=0))
    every = _with_budgets(rows, y)
    rows = best_kinds(every, y, ("N", "budget"))
    table = at_budget(cells(rows, y), y).sort_values(["budget", "N"], kind="stable")
    groups = {float(group["budget"].iloc[0]): group for _, group in table.groupby("budget")}
    if max((group["N"].nunique() for group in groups.values()), default=0) < 3:
        raise Refusal("no compute budget has three sizes; wanted several sizes N at each of a few budgets")
    valleys, curves, absorbed = _fit_curves(groups, y, shape)
    noise, wide = noise_of(rows, valleys, y, absorbed=absorbed), unequal(valleys)
    draws = draw_minima(valleys, curves, noise, wide, resamples, seed)
    minima = tuple(
        _minimum(group, valley, drawn, level)
        for group, valley, drawn in zip(groups.values(), valleys, draws, strict=True)
    )
    N_law, D_law, y_law = _laws(minima, draws, level)
    refuse_mixed_kinds(every, N_law, lambda r: isoflop(r, y=y, shape=shape, level=level).N_law, y=y)
    used = [valley for valley, minimum in zip(valleys, minima, strict=True) if minimum.ok]
    reasons = misfits(used, noise.size) if N_law else ()
    reasons += (*([scatter_words(wide)] if wide else ()), *([N_law.bend] if N_law and N_law.bend else ()))
    weak = tuple(f"weak: {reason}" for reason in reasons)
    return IsoFlop(
        y=y,
        shape="chinchilla" if isinstance(shape, Shape) else "parabola",
        minima=minima,
        N_law=N_law,
        D_law=D_law,
        y_law=y_law,
        level=level,
        resamples=resamples if len(noise.deviations) else 0,
        warnings=(*remarks_of(rows), *moved_words(table), *weak, *_warnings(minima, N_law, noise, y)),
        reasons=reasons,
    )


def _with_budgets(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Return checked rows with a column budget, and with D = C / (6 N) where they have none."""
    rows = as_numbers(with_compute(rows), ["N", "C", y])
    refuse_rising(rows, y)
    require_positive(rows, ["N", "C", *(["D"] if "D" in rows.columns else []), y])
    if "D" not in rows.columns:
        rows = rows.assign(D=rows["C"] / (6 * rows["N"]))
    rows = distinct(rows, ["N", "D", "C"], y)
    budget = budgets(rows)
    if "budget" in rows.columns and rows["budget"].notna().all() and (budget != rows["budget"]).any():
        rows = with_remarks(rows, "the column budget is not C in FLOPs: each budget is the median C of its runs")
    return rows.assign(budget=budget)


def _fit_curves(
    groups: Mapping[float, pd.DataFrame], y: str, shape: Shape | str
) -> tuple[list[Valley], tuple[Parabola | Shape, ...], float]:
    """Fit the curve of each budget.

    Return the curves, the shapes that are fitted to resamples in turn, and how many degrees of freedom they take.
    """
    if isinstance(shape, Shape):
        return [_valley(budget, group, y, shape) for budget, group in groups.items()], (shape,), 0.0
    skew = common_skew([_valley(budget, group, y, Parabola()) for budget, group in groups.items()])
    valleys = [_valley(budget, group, y, Parabola(skew.mean)) for budget, group in groups.items()]
    return valleys, skew.draws(), skew.absorbed


def _valley(budget: float, group: pd.DataFrame, y: str, shape: Parabola | Shape) -> Valley:
    """Fit the curve of one budget."""
    u, means = np.log(group["N"].to_numpy(float)), group[y].to_numpy(float)
    return Valley(budget, u, means, group["n"].to_numpy(int), find_minima(u, means[None], shape))


def _minimum(group: pd.DataFrame, valley: Valley, draws: np.ndarray, level: float) -> Minimum:
    """Find one budget's minimum. draws: its resampled log N*, empty without resamples."""
    N, D, means = group["N"].to_numpy(float), group["D"].to_numpy(float), valley.means
    located, budget = valley.curve, valley.budget
    share = float(np.isfinite(draws).mean()) if len(draws) else None
    status, reason = _status(N, means, float(located.u[0]), share)
    ok, best = status == "ok", int(np.argmin(means))
    N_star = float(np.exp(located.u[0])) if ok else float(N[best])
    return Minimum(
        budget=budget,
        C=budget,
        sizes=tuple(N.tolist()),
        means=tuple(means),
        seeds=tuple(int(k) for k in valley.seeds),
        status=status,
        reason=reason,
        N=N_star,
        D=budget / (float(np.median(group["C"] / (N * D))) * N_star),
        y=float(located.y[0]) if ok else float(means[best]),
        N_interval=_interval(draws, N, level) if ok and len(draws) else None,
        bands={name: located.band(near, N.min(), N.max()) for name, near in BANDS.items()} if ok else {},
        share_bracketed=share,
        curve=located.curve() if ok else ((), ()),
    )


def _status(N: np.ndarray, means: np.ndarray, u: float, share: float | None) -> tuple[str, str]:
    if len(np.unique(N)) < FEWEST_SIZES:
        return "few", f"{counted(len(np.unique(N)), 'size')}; wanted four or more"
    best = N[np.argmin(means)]
    for end, which, more in ((N.min(), "smallest", "smaller"), (N.max(), "largest", "larger")):
        if best == end or u == (-np.inf if more == "smaller" else np.inf):
            return "edge", f"the minimum is at the {which} size run ({count(end)}); run {more} sizes"
    if share is not None and share < BRACKETED:
        return (
            "flat",
            f"noise puts the minimum outside the sizes run in {percent(1 - share)} of resamples; run more seeds",
        )
    return "ok", ""


def _interval(draws: np.ndarray, N: np.ndarray, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")
    return float(np.exp(max(low, np.log(N.min())))), float(np.exp(min(high, np.log(N.max()))))


def _laws(
    minima: Sequence[Minimum], draws: Sequence[np.ndarray], level: float
) -> tuple[PowerLine | None, PowerLine | None, PowerLine | None]:
    usable = [i for i, minimum in enumerate(minima) if minimum.ok]
    if len(usable) < MIN_BUDGETS:
        return None, None, None
    C, N, D, y = (np.array([getattr(minima[i], name) for i in usable]) for name in ("C", "N", "D", "y"))
    spread: np.ndarray | None = None
    if all(len(draws[i]) for i in usable):
        spread = np.stack([draws[i] for i in usable], axis=1)
        spread = np.where(np.isfinite(spread), spread, np.nan)
    D_spread = None if spread is None else np.log(N * D)[None] - spread
    return (
        power_line(C, N, draws=spread, level=level, may_bend=True),
        power_line(C, D, draws=D_spread, level=level, may_bend=True),
        power_line(C, y, draws=None, level=level),
    )


def _warnings(minima: Sequence[Minimum], law: PowerLine | None, noise: Noise, y: str) -> tuple[str, ...]:
    warnings = []
    for status, words in (
        ("edge", "have their minimum at the edge of the sizes run"),
        ("flat", "are too flat for their noise"),
        ("few", "have fewer than four sizes"),
    ):
        these = [flops(minimum.budget) for minimum in minima if minimum.status == status]
        if these:
            warnings.append(
                f"{len(these)} of {len(minima)} budgets {words} and are left out of N*(C): {', '.join(these)} FLOPs"
            )
    if law is None:
        usable = sum(minimum.ok for minimum in minima)
        warnings.append(
            f"no law N*(C): {usable} of {len(minima)} budgets have a usable minimum of {y}; wanted {MIN_BUDGETS}"
        )
    if noise.warning:
        warnings.append(noise.warning)
    if not len(noise.deviations):
        warnings.append("no intervals: one seed per cell and too few sizes to estimate the noise; run several seeds")
    if law is not None:
        warnings.extend(law.warnings)
    return tuple(warnings)
