"""A figure of a report: what is to be drawn, and the picture that comes of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG

from analysis.figures.style import look, panels, save


@dataclass(frozen=True)
class Drawing:
    """One figure to be drawn, one function a panel.

    bar: room for a colour bar. columns: panels in a row (all). size: of a panel, in inches (that of all figures).
    """

    name: str
    title: str
    caption: str
    draw: Sequence[Callable[[Axes], None]]
    bar: bool = False
    columns: int | None = None
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """One figure as it stands in a report. files: where it lies for a paper, if it was saved."""

    name: str
    title: str
    caption: str
    svg: bytes
    wide: bool
    files: tuple[Path, ...] = ()


def picture(drawing: Drawing, folder: Path | None, *, prefix: str = "", suffix: str = "") -> Picture:
    """Draw a figure once, as SVG; with a folder, save it there as PNG and PDF too."""
    name, svg = f"{prefix}{drawing.name}{suffix}", io.BytesIO()
    with look():
        figure, axes = panels(len(drawing.draw), bar=drawing.bar, columns=drawing.columns, size=drawing.size)
        for ax, one in zip(axes, drawing.draw, strict=True):
            one(ax)
        # Not savefig, which draws a figure with a layout once more to find it.
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
        figure.set_layout_engine("none")
    files = save(figure, folder, name) if folder else []
    return Picture(name, drawing.title, drawing.caption, svg.getvalue(), len(axes) > 1, tuple(files))
