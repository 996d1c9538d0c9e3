"""A figure of a report: what is to be drawn, and the picture that comes of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import look, panels, save


@dataclass(frozen=True)
class Drawing:
    """One figure to be drawn, one function a panel.

    bar: room for a colour bar. columns: panels in a row (all); size: of a panel, in inches (that of `style`).
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
    """One figure as it stands in a report."""

    name: str
    title: str
    caption: str
    svg: bytes
    wide: bool


def picture(drawing: Drawing, folder: Path, *, prefix: str = "", suffix: str = "") -> Picture:
    """Draw into FOLDER as PNG and PDF; return the figure as SVG."""
    name = f"{prefix}{drawing.name}{suffix}"
    with look():
        figure, axes = panels(len(drawing.draw), bar=drawing.bar, columns=drawing.columns, size=drawing.size)
        for ax, one in zip(axes, drawing.draw, strict=True):
            one(ax)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again for each format
    save(figure, folder, name)
    return Picture(name, drawing.title, drawing.caption, _svg(figure), len(axes) > 1)


def _svg(figure: Figure) -> bytes:
    text = io.BytesIO()
    with look():
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
