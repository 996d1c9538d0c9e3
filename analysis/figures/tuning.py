"""Tuned keys: the response against a key, the optimum against size and length, and the cost of a deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.estimates.tuning.key_law import KeyLaw
from analysis.estimates.tuning.optima import Optimum, Tuned
from analysis.figures.equation import mathtext
from analysis.figures.style import INK, LAW, colours, label, legend, legend_above, log_axes, margins, value_bar
from analysis.numbers import exponent, percent, short

WORDS = {"lr": "learning rate", "batch": "batch size", "val_loss": "validation loss"}
WORST = 0.25
"""Relative increase of the response up to which the cost of a deviation is drawn."""


@dataclass(frozen=True)
class KeyNumbers:
    """The figures' numbers for one key. index: its position among the keys."""

    index: int
    key: str
    optima: tuple[Optimum, ...]
    law: KeyLaw | None
    cost: float | None
    y_label: str


def key_numbers(found: Tuned, key: str, rows: pd.DataFrame) -> KeyNumbers:
    """Collect the numbers of one key's figures."""
    index = found.keys.index(key)
    cost = found.cost[index] if found.cost else None
    y_label = WORDS.get(found.y, label(found.y, rows))
    return KeyNumbers(index, WORDS.get(key, key), found.optima, found.laws[index], cost, y_label)


def draw_tries(ax: Axes, numbers: KeyNumbers) -> None:
    """Draw the response against the key, one colour per size, with the optima (hollow: edge, flat or few)."""
    colour = colours(optimum.N for optimum in numbers.optima)
    for optimum in numbers.optima:
        own, (x, y) = colour[optimum.N], _section(optimum, numbers.index)
        ax.plot(x, y, "o", color=own, ms=3.2, ls=":", lw=0.6, zorder=3)
        star: dict[str, Any] = {"color": own, "mec": INK} if optimum.ok else {"mfc": "white", "mec": own}
        ax.plot(optimum.best[numbers.index], optimum.y, "*", ms=10, mew=0.9, zorder=5, **star)
        if optimum.ok and optimum.paraboloid is not None and len(optimum.best) == 1:
            z = np.linspace(optimum.paraboloid.low[0], optimum.paraboloid.high[0], 60)
            ax.plot(np.exp(z), optimum.paraboloid.value(z[:, None]), color=own, lw=1.3, zorder=2)
    if any(optimum.ok for optimum in numbers.optima):
        ax.plot([], [], "*", color="#9aa0a6", mec=INK, mew=0.7, ms=9, ls="none", label="optimum")
    if not all(optimum.ok for optimum in numbers.optima):
        ax.plot([], [], "*", mfc="white", mec=INK, ms=9, ls="none", label="best tried, no optimum")
    everything = [_section(optimum, numbers.index) for optimum in numbers.optima]
    lowest = min(optimum.means.min() for optimum in numbers.optima)
    heights = np.concatenate([y for _, y in everything])
    shown = heights[heights <= 3 * lowest]  # runs that nearly diverged would compress all others
    margins(ax, np.concatenate([x for x, _ in everything]), shown)
    log_axes(ax)
    ax.set(xlabel=numbers.key, ylabel=numbers.y_label)
    value_bar(ax, colour, "weights N")
    legend_above(ax, columns=2)


def draw_optima(ax: Axes, numbers: KeyNumbers, *, of: str) -> None:
    """Draw the optimum against N or D (of) with intervals, and its law at the middle of the other."""
    usable = [optimum for optimum in numbers.optima if optimum.ok]
    other = {"N": "D", "D": "N"}[of]
    colour = colours(getattr(optimum, other) for optimum in usable)
    everything = []
    for optimum in usable:
        x, best = getattr(optimum, of), optimum.best[numbers.index]
        low, high = optimum.interval[numbers.index] if optimum.interval else (best, best)
        ends = [[max(best - low, 0.0)], [max(high - best, 0.0)]]  # an interval of resamples may leave the best out
        own = colour[getattr(optimum, other)]
        ax.errorbar(x, best, yerr=ends, fmt="o", color=own, ms=4.5, lw=1, capsize=2, zorder=4)
        everything += [(x, low), (x, high)]
    law = numbers.law
    if law is not None and of in law.exponents:
        xs = np.geomspace(min(x for x, _ in everything), max(x for x, _ in everything), 60)
        at = {of: xs, **({other: np.full(60, law.pivots[other])} if other in law.exponents else {})}
        fixed = f"at {other} = {short(law.pivots[other])}: " if other in at else ""
        text = f"{fixed}${of}^{{{mathtext(exponent(law.exponents[of]))}}}$"
        ax.plot(xs, law.predict(at), color=LAW, lw=1.6, label=text, zorder=3)
        band = law.interval(at)
        if band:
            ax.fill_between(xs, *band, color=LAW, alpha=0.15, lw=0, zorder=1)
    margins(ax, *np.array(everything).T)
    log_axes(ax)
    ax.set(xlabel=label(of), ylabel=f"best {numbers.key}")
    value_bar(ax, colour, label(other))
    legend(ax, "best")


def draw_miss(ax: Axes, numbers: KeyNumbers) -> None:
    """Draw the relative increase of the response against the ratio of the key to its optimum, for all sizes."""
    usable = [optimum for optimum in numbers.optima if optimum.ok]
    colour = colours(optimum.N for optimum in usable)
    for optimum in usable:
        x, y = _section(optimum, numbers.index)
        rise = y / optimum.y - 1
        shown = rise <= WORST
        off = x[shown] / optimum.best[numbers.index]
        ax.plot(off, 100 * rise[shown], "o", color=colour[optimum.N], ms=3.2, zorder=3)
    if numbers.cost is not None:
        low, high = np.log(ax.get_xlim()[0] if ax.get_xlim()[0] > 0 else 1 / 8), np.log(ax.get_xlim()[1])
        v = np.linspace(max(low, -np.log(8)), min(high, np.log(8)), 120)
        rise = 100 * numbers.cost * (v / np.log(2)) ** 2
        inside = rise <= 100 * WORST
        text = f"off by a factor of two: {percent(numbers.cost)}"
        ax.plot(np.exp(v[inside]), rise[inside], color=LAW, lw=1.5, label=text, zorder=2)
    log_axes(ax, "x")
    ax.set(xlabel=f"{numbers.key} / best {numbers.key}", ylabel=f"rise of the {numbers.y_label} (%)")
    value_bar(ax, colour, "weights N")
    legend(ax, "upper center")


def _section(optimum: Optimum, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one key's values and the smallest mean at each, over the other keys."""
    values = optimum.tried[:, index]
    x = np.unique(values)
    return x, np.array([optimum.means[values == value].min() for value in x])
