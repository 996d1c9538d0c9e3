"""First-layer filters by data and augmentation, and their locality as a curve (Figures 11, 12 of arXiv 2306.13575)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.paper.locality import Filters
from analysis.figures.seed_range import SeedRange, draw_range, ends_of, seed_range
from analysis.figures.style import HUES, INK, MARKERS, legend_above, literal, log_axes, margins, value_ticks
from analysis.numbers import count, measured
from analysis.wording import augment_words, symbol

MOST_SIZES = 4
"""Maximum number of data set sizes shown by the mosaics."""

SIDE = 5
"""Filters along each side of a mosaic: 25 are shown, as in the paper."""


@dataclass(frozen=True)
class Mosaic:
    """25 filters of one run as one picture, each scaled to [0, 1], with lines of NaN between.

    title: above it; side: what its row of the figure shares, at the row's first.
    """

    picture: np.ndarray
    title: str
    side: str = ""


@dataclass(frozen=True)
class LocalityLine(SeedRange):
    """Locality against the size of the data set (x, in examples) for one augmentation and model."""

    name: str


def mosaic(filters: Filters, title: str, side: str = "") -> Mosaic:
    """Lay out the filters of greatest energy: the maximum over channels of |weight|, each scaled to [0, 1]."""
    order = np.argsort(-np.square(filters.weights).sum(axis=(1, 2, 3)), kind="stable")[: SIDE**2]
    height, width = filters.weights.shape[2:]
    picture = np.full((SIDE * (height + 1) - 1, SIDE * (width + 1) - 1), np.nan)
    for place, index in enumerate(order):
        image = np.abs(filters.weights[index]).max(axis=0)
        top, left = (place // SIDE) * (height + 1), (place % SIDE) * (width + 1)
        picture[top : top + height, left : left + width] = image / max(float(image.max()), 1e-30)
    return Mosaic(picture, f"{title}: {measured(filters.score, decimals=3)}", side)


def mosaics(rows: pd.DataFrame, filters: Mapping[str, Filters]) -> tuple[int, list[Mosaic]]:
    """Choose the mosaics row by row; return the number of columns (one per data set, up to four) and the mosaics.

    One row per augmentation, with the largest model; for a single augmentation, rows for the smallest and the largest
    model. The first seed of each is shown.
    """
    kept = rows[rows["run_id"].isin(filters)].sort_values("seed")
    sizes = np.sort(kept["D_unique"].unique())
    shown = sizes[np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), MOST_SIZES)).round().astype(int))]
    largest = kept["N"] == kept["N"].max()
    if kept["augment"].nunique() > 1:
        groups = [(augment_words(str(name)), group) for name, group in kept[largest].groupby("augment", sort=False)]
    else:
        ends = kept[largest | (kept["N"] == kept["N"].min())]
        groups = [(_model(group), group) for _, group in ends.groupby("N")]
    found = []
    for name, group in groups:
        first = group.drop_duplicates("D_unique").set_index("D_unique")["run_id"]
        for i, size in enumerate(shown):
            if size in first.index:
                found.append(mosaic(filters[first[size]], f"{count(size)} examples", name if i == 0 else ""))
    return len(shown) if len(found) == len(groups) * len(shown) else min(len(found), MOST_SIZES), found


def _model(rows: pd.DataFrame) -> str:
    return symbol(*rows[["family", "depth", "width"]].iloc[0])


def locality_lines(rows: pd.DataFrame, filters: Mapping[str, Filters]) -> list[LocalityLine]:
    """Return the curves, one per augmentation and model."""
    kept = rows[rows["run_id"].isin(filters)].drop_duplicates("run_id")
    kept = kept.assign(locality=kept["run_id"].map({key: one.score for key, one in filters.items()}))
    several, lines = {name: kept[name].nunique() > 1 for name in ("augment", "N")}, []
    for (augment, _), group in kept.groupby(["augment", "N"], sort=False):
        words = [augment_words(str(augment))] if several["augment"] or not several["N"] else []
        words += [_model(group)] if several["N"] else []
        lines.append(LocalityLine(**seed_range(group, "D_unique", "locality"), name=", ".join(words)))
    return lines


def draw_mosaic(ax: Axes, numbers: Mosaic) -> None:
    """Draw one mosaic."""
    ax.imshow(numbers.picture, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(numbers.title, fontsize=8, fontweight="normal")
    ax.set_ylabel(numbers.side, fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def draw_locality(ax: Axes, lines: list[LocalityLine], noise: float) -> None:
    """Draw the curves with their seeds' range; noise: the locality of random weights, dashed."""
    for i, line in enumerate(lines):
        own, marker = HUES[i % len(HUES)], MARKERS[i % len(MARKERS)]
        draw_range(ax, line, color=own, marker=marker, ms=4.5, lw=1.2, label=literal(line.name))
    examples, ends = ends_of(lines)
    margins(ax, examples, [1.0])
    log_axes(ax, "x")
    value_ticks(ax, examples)
    ax.set_ylim(0, float(ends.max()) * 1.35)
    ax.set(xlabel="training set size (examples)", ylabel="locality of first-layer filters (0 to 1)")
    ax.axhline(noise, color=INK, lw=0.9, ls=(0, (4, 2)), label="random weights")
    legend_above(ax, columns=1 if len(lines) < 4 else 2)
