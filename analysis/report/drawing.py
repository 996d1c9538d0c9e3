"""A figure of a report: its specification, and the resulting picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.figures.style import figure_style, panels, save
from analysis.report.charts.axes import read_axes
from analysis.report.charts.seeds import Seeds
from analysis.report.charts.svg import svg_of


@dataclass(frozen=True)
class Drawing:
    """One figure to be drawn, with one function per panel.

    bar: leave room for a colour bar. columns: panels per row (default: all). size: of a panel in inches (default: that
    of all figures). seeds: the runs behind each panel's means, where known.
    """

    name: str
    title: str
    caption: str
    draw: Sequence[Callable[[Axes], None]]
    bar: bool = False
    columns: int | None = None
    size: tuple[float, float] | None = None
    seeds: Sequence[Seeds | None] = ()


@dataclass(frozen=True)
class Picture:
    """One figure in a report.

    charts: its panels as data, empty if it can only be an image. files: paths for use in a paper, if saved.
    """

    name: str
    title: str
    caption: str
    svg: bytes
    wide: bool
    charts: tuple[dict[str, Any], ...] = ()
    files: tuple[Path, ...] = ()


def picture(drawing: Drawing, folder: Path | None, *, prefix: str = "", suffix: str = "") -> Picture:
    """Draw a figure as data and as SVG; with a folder, save it there as PNG, PDF and SVG too."""
    name = f"{prefix}{drawing.name}{suffix}"
    with figure_style():
        figure, axes = panels(len(drawing.draw), bar=drawing.bar, columns=drawing.columns, size=drawing.size)
        for ax, one in zip(axes, drawing.draw, strict=True):
            one(ax)
        read = [read_axes(ax, seeds) for ax, seeds in zip_longest(axes, drawing.seeds)]
        charts = tuple(one for one in read if one) if all(read) else ()
        svg = svg_of(charts) if charts else _printed(figure)
    files = save(figure, folder, name) if folder else []
    return Picture(name, drawing.title, drawing.caption, svg, len(axes) > 1, charts, tuple(files))


def _printed(figure: Figure) -> bytes:
    """Return a figure as drawn by matplotlib, which takes ten times as long."""
    svg = io.BytesIO()
    # Not savefig, which draws the figure twice to compute its layout.
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    figure.set_layout_engine("none")
    return svg.getvalue()
