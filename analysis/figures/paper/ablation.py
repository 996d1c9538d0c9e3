"""One component changed at a time, at equal compute (Figure 9 of arXiv 2306.13575)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.style import GREY, INK, LAW, label, legend_above
from analysis.numbers import percent

BASE = "base"
PLAIN = ("seed", "train.milestones", "train.budget", "train.epochs", "train.steps", "train.examples", "data.size")
"""Overrides that change the amount of training or the seed, not a component."""


@dataclass(frozen=True)
class Variant:
    """One change: its runs' values, and the difference of its mean from the base's with an interval (Welch's t)."""

    name: str
    values: np.ndarray
    difference: float
    interval: tuple[float, float] | None
    p: float | None

    @property
    def mean(self) -> float:
        """Return the mean over seeds."""
        return float(self.values.mean())


@dataclass(frozen=True)
class AblationNumbers:
    """The figure's numbers: the base, and the changes from most harmful to most useful."""

    base: Variant
    variants: tuple[Variant, ...]
    level: float
    x_label: str


def variants_of(overrides: pd.Series) -> pd.Series:
    """Name the change of each run; a learning rate that every run sets, one for each change, is tuned and no change."""
    names = overrides.map(variant_of)
    rates = overrides.astype(str).str.extract(r"(?:^| )optim\.lr=(\S+)")[0]
    if rates.isna().any():
        return names
    changes = overrides.map(partial(variant_of, apart=(*PLAIN, "optim.lr")))
    return changes if rates.groupby(changes).nunique().max() == 1 else names


def variant_of(overrides: object, apart: Sequence[str] = PLAIN) -> str:
    """Name the changes in a run's overrides besides seed and length (apart); "base" if there are none."""
    words = re.split(r" (?=[\w.+~/]+=)", str(overrides)) if isinstance(overrides, str) else []
    changed = [word for word in words if word and word.split("=")[0].lstrip("+~") not in apart]
    return ", ".join(word.removeprefix("model.").removeprefix("train.") for word in changed) or BASE


def ablation_numbers(rows: pd.DataFrame, y: str, *, level: float = 0.95) -> AblationNumbers:
    """Collect the figure's numbers from final rows; the base is the variant without a change (else the first)."""
    names = variants_of(rows["overrides"])
    values = {str(name): group[y].to_numpy(float) for name, group in rows.groupby(names, sort=False)}
    base_name = BASE if BASE in values else next(iter(values))
    base = values.pop(base_name)
    found = [_against(name, these, base, level) for name, these in values.items()]
    found.sort(key=lambda variant: variant.difference)
    return AblationNumbers(Variant(base_name, base, 0.0, None, None), tuple(found), level, label(y, rows))


def _against(name: str, values: np.ndarray, base: np.ndarray, level: float) -> Variant:
    difference = float(values.mean() - base.mean())
    if min(len(values), len(base)) < 2 or (values.var() == 0 and base.var() == 0):
        return Variant(name, values, difference, None, None)
    from scipy import stats

    test = stats.ttest_ind(values, base, equal_var=False)
    ends = test.confidence_interval(level)
    return Variant(name, values, difference, (float(ends.low), float(ends.high)), float(test.pvalue))


def _short(name: str) -> str:
    """Shorten a name to its first change and the number of others."""
    first, *others = name.split(", ")
    return first + (f" and {len(others)} more" if len(others) > 1 else f", {others[0]}" if others else "")


def draw_ablation(ax: Axes, numbers: AblationNumbers) -> None:
    """Draw one row per change: seeds as small points, the mean as a large one, filled if the interval excludes 0."""
    base = numbers.base
    ax.axvline(base.mean, color=LAW, lw=1.2, zorder=1, label="base and its seeds' range")
    ax.axvspan(base.values.min(), base.values.max(), color=LAW, alpha=0.12, lw=0, zorder=0)
    for i, variant in enumerate(numbers.variants):
        sure = variant.interval is not None and not variant.interval[0] <= 0 <= variant.interval[1]
        ax.plot(variant.values, np.full(len(variant.values), i), "|", color=GREY, ms=7, mew=1.2, zorder=2)
        ax.plot(variant.mean, i, "o", color=INK, mfc=INK if sure else "white", ms=5, zorder=3)
    ax.plot([], [], "o", color=INK, ms=5, ls="none", label=f"mean, differs ({percent(numbers.level)})")
    ax.plot([], [], "o", color=INK, mfc="white", ms=5, ls="none", label="mean, no difference shown")
    ax.plot([], [], "|", color=GREY, ms=7, mew=1.2, ls="none", label="seeds")
    ax.set_yticks(range(len(numbers.variants)), [_short(v.name) for v in numbers.variants], fontsize=7)
    ax.set_ylim(-0.7, len(numbers.variants) - 0.3)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(numbers.x_label)
    legend_above(ax)
