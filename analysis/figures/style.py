"""The style of all figures: sizes, colours, ticks on log axes, labels with units, and how a figure is saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import TightLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from analysis.fitting.points import metric_of
from analysis.numbers import count, flops, number, power_of_ten

WIDTH, HEIGHT = 4.8, 3.5
"""Inches of one panel, legible at a column's width."""
DPI = 200
"""Pixels to an inch of a PNG."""
CHARACTER = 7.0
"""Pixels, at 100 to an inch, of a character below an axis."""
LONGEST = 48
"""Maximum length of a user's words in a label."""
INK = "#1b1f24"
LAW = "#c2410c"
"""The one warm colour: laws and minima contrast with runs, which are drawn in viridis."""
GREY = "#8a9099"
GREY_LINE = "#e6e8eb"
HUES = ("#31688e", "#c2410c", "#2f855a", "#805ad5", "#8a5a00", "#5b6470")
"""Colours of unordered groups; with the markers, distinguishable with all common kinds of colour blindness."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


RC: dict[Any, Any] = {
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY_LINE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "legend.borderpad": 0.3,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "mathtext.default": "regular",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "scaling",
    "pdf.fonttype": 42,
}

UNITS = {
    "C": "training compute C (FLOPs)",
    "C_counted": "training compute as counted (FLOPs)",
    "N": "weights N",
    "D": "training examples D",
    "width": "width",
    "seconds": "time (s)",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style of all figures within a context."""
    with mpl.rc_context(RC):
        yield


def panels(
    n: int = 1, *, bar: bool = False, columns: int | None = None, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels. Call it inside figure_style().

    bar: room for a colour bar. columns: panels in a row (all). size: width and height of a panel in inches.
    """
    columns = columns or n
    rows, (width, height) = -(-n // columns), size or (WIDTH, HEIGHT)
    # It measures every label once, a constrained layout twice, which takes a fifth of a figure's time.
    layout = TightLayoutEngine(pad=0.4, w_pad=1.0, h_pad=1.0)
    figure = Figure(figsize=(width * columns + (0.5 if bar else 0), height * rows), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.set_axis_off()
    return figure, list(axes[:n])


def label(name: str, rows: pd.DataFrame | None = None, *, metric: str = "") -> str:
    """Return the axis label of a column, with its unit (that of a loss is the data set's metric, of rows or given)."""
    metric = metric if rows is None else metric_of(rows)
    if name == "loss":
        units = {"cross_entropy": "test cross-entropy (nats)", "squared_error": "test squared error (units of Var y)"}
        return units.get(metric, "test loss")
    if name == "error":
        return "test error (1 − top-1 accuracy)"
    return UNITS.get(name, literal(name))


def literal(words: str) -> str:
    """Return a user's words as matplotlib draws them unchanged: no mathematics, never hidden; long ones shortened."""
    text = " ".join(words.split())
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[-(LONGEST // 2 - 1) :]}"
    return ("\u200b" if text.startswith("_") else "") + text.replace("$", r"\$")


def colours(values: Iterable[float]) -> dict[float, tuple[float, ...]]:
    """Map each value to a viridis colour by rank, small values dark, none too light for white paper."""
    ranked = sorted(set(values))
    places = np.linspace(0.0, 0.88, len(ranked)) if len(ranked) > 1 else np.array([0.35])
    viridis = mpl.colormaps["viridis"]
    return {value: viridis(place) for value, place in zip(ranked, places, strict=True)}


def value_bar(ax: Axes, values: Iterable[float], title: str, *, powers: bool = False) -> None:
    """Draw a colour bar with one cell per value, in rank order, at most ten of them labelled.

    powers: write 2×10⁸ instead of 200M.
    """
    ranked = sorted(set(values))
    places = np.arange(len(ranked))
    bar = ax.inset_axes((1.02, 0.0, 0.028, 1.0))
    write = flops if powers else count
    cells = bar.barh(places, 1.0, height=1.0, color=list(colours(ranked).values()))
    for cell, value in zip(cells, ranked, strict=True):
        cell.set_label(write(value))
    bar.set(xlim=(0.0, 1.0), ylim=(-0.5, len(ranked) - 0.5), xticks=[])
    shown = places[:: max(1, int(np.ceil(len(ranked) / 10)))]
    bar.set_yticks(shown, [write(ranked[i]) for i in shown])
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.set_ylabel(title, fontsize=9)
    bar.tick_params(length=0, labelsize=8)
    bar.grid(visible=False)
    bar.spines[:].set_visible(False)


def log_axes(ax: Axes, which: str = "xy") -> None:
    """Set log scales with readable ticks for any range; call it after drawing."""
    for name in which:
        axis: Axis = ax.xaxis if name == "x" else ax.yaxis
        low, high = sorted(axis.get_view_interval())
        if not low > 0:
            positive = [v for v in axis.get_data_interval() if v > 0]
            low = min(positive, default=1e-3)
        (ax.set_xscale if name == "x" else ax.set_yscale)("log")
        (ax.set_xlim if name == "x" else ax.set_ylim)(low, high)
        ticks = log_ticks(low, high)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        wide = max(ticks, default=1) >= 1e4 or min(ticks, default=1) < 1e-3
        words = list(map(power_of_ten if wide else number, ticks))
        if name == "x":
            words = _on_axis(ax, ticks, words)
        texts = dict(zip(ticks, words, strict=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _, texts=texts: texts.get(value, "")))


def _on_axis(ax: Axes, ticks: Sequence[float], words: Sequence[str]) -> list[str]:
    """Blank the labels of a log x axis that would overlap."""
    low, high = ax.get_xlim()
    share = np.log(np.array(ticks) / low) / np.log(high / low)
    return without_touching(words, share * 100 * ax.get_window_extent().width / ax.figure.dpi, CHARACTER)


def without_touching(words: Sequence[str], places: Iterable[float], character: float) -> list[str]:
    """Blank labels that would overlap the one before. places: positions in pixels; character: width in pixels."""
    kept, taken = list[str](), -np.inf
    for word, place in zip(words, places, strict=True):
        half = character * len(word) / 2
        kept.append(word if place - half >= taken else "")
        taken = place + half + character / 2 if kept[-1] else taken
    return kept


def log_ticks(low: float, high: float) -> list[float]:
    """Choose tick positions for a log axis: powers of ten, 1-2-5 steps, or round numbers, by the range."""
    decades = np.log10(high / low)
    exponents = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    if decades > 2.2:
        step = int(np.ceil(decades / 7))
        ticks = 10.0 ** exponents[exponents % step == 0]
    elif decades > 0.7:
        steps = (1, 2, 5) if decades > 1.3 or high >= 1e4 else (1, 2, 3, 5, 7)
        ticks = np.sort(np.concatenate([m * 10.0**exponents for m in steps]))
    else:
        few = 4 if high >= 1e4 else 7  # 2.5×10¹⁰ is wide
        ticks = MaxNLocator(few, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]


def value_ticks(ax: Axes, values: Iterable[float], most: int = 8) -> None:
    """Put a tick at each of a few values of x, such as sizes of data sets; call it after log_axes."""
    ticks = sorted(set(values))
    if len(ticks) <= most:
        ax.set_xticks(ticks, _on_axis(ax, ticks, list(map(number, ticks))))
        ax.minorticks_off()


def margins(ax: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, room: float = 0.06) -> None:
    """Set limits around positive data, with the same relative margin on log axes."""
    for values, setter in ((x, ax.set_xlim), (y, ax.set_ylim)):
        finite = np.asarray(values, dtype=float)
        finite = finite[np.isfinite(finite) & (finite > 0)]
        if not len(finite):
            continue
        low, high = np.log(finite.min()), np.log(finite.max())
        pad = room * (high - low) if high > low else 0.1
        setter(float(np.exp(low - pad)), float(np.exp(high + pad)))


def legend(ax: Axes, where: Any = "best", **how: Any) -> None:
    """Draw the legend if it has entries."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc=where, **how)


def legend_above(ax: Axes, title: str | None = None, columns: int = 1) -> None:
    """Draw the legend above the axes, where it hides nothing."""
    above: dict[str, Any] = {"bbox_to_anchor": (0, 1.01), "borderaxespad": 0, "alignment": "left"}
    legend(ax, "lower left", title=title, ncols=columns, **above)


def legend_below(ax: Axes, room: float = 0.4) -> None:
    """Draw the legend in the lower left, under falling curves. room: share of the log y axis added below."""
    low, high = ax.get_ylim()
    ax.set_ylim(low * (low / high) ** room, high)
    legend(ax, "lower left", framealpha=0)  # bands are seen through it
    drawn = ax.get_legend()
    if drawn is not None:
        drawn.set_in_layout(False)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write FOLDER/NAME.png, .pdf and .svg; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in ("png", "pdf", "svg")]
    with figure_style():
        figure.savefig(paths[0], dpi=DPI)
        figure.savefig(paths[1], metadata={"CreationDate": None})
        figure.savefig(paths[2], metadata={"Date": None})
    return paths
