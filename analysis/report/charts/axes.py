"""Extract the contents of axes as plain data, so that the page's script can redraw them at other scales."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from analysis.figures.equation import as_html
from analysis.report.charts.seeds import Seeds

DIGITS = 6
"""Digits of a coordinate: a hundredth of a pixel at any zoom that shows more than one point."""

CAPS = ("_", "|", "None", "none", "", " ", None)
"""Markers that are not points: none, and the caps of bars."""


MATHEMATICS = re.compile(r"(?<!\\)\$")
"""The sign around mathematics in a label; one that is written has a backslash before it."""


class Undrawable(Exception):
    """Raised where axes contain something that the script cannot draw; the figure stays an image."""


def read_axes(ax: Axes, seeds: Seeds | None = None) -> dict[str, Any] | None:
    """Return labels, scales, limits, marks, the colour key and the runs behind the marks; None for images."""
    try:
        key = _key(ax)
        marks = [*_areas(ax), *_lines(ax), *_collections(ax)]
    except Undrawable:
        return None
    if not marks:
        return None
    content = {
        "x": {"label": _words(ax.get_xlabel()), "log": ax.get_xscale() == "log", "ends": numbers(ax.get_xlim())},
        "y": {"label": _words(ax.get_ylabel()), "log": ax.get_yscale() == "log", "ends": numbers(ax.get_ylim())},
        "marks": marks,
    }
    title = _words(ax.get_title(loc="left"))
    return {**content, **({"title": title} if title else {}), **({"key": key} if key else {}), **_runs(seeds, key)}


def numbers(values: Sequence[float] | np.ndarray) -> list[float | int | None]:
    """Round to a few digits, integers as such; None for non-finite values."""
    return [_number(float(value)) for value in np.asarray(values, dtype=float)]


def _number(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _words(label: object) -> str:
    """Return a label as HTML; empty for matplotlib's automatic labels."""
    text = str(label)
    if text.startswith("_"):
        return ""
    return as_html(text) if MATHEMATICS.search(text) else html.escape(text.replace(r"\$", "$"), quote=False)


def _key(ax: Axes) -> dict[str, Any] | None:
    """Return the title, colours and labels of the colour bar beside the axes."""
    if ax.images or ax.texts:
        raise Undrawable
    if not ax.child_axes:
        return None
    bar = ax.child_axes[0]
    cells = [cell for cell in bar.patches if isinstance(cell, Rectangle)]
    if len(ax.child_axes) > 1 or not cells:
        raise Undrawable
    entries = [[to_hex(cell.get_facecolor()), _words(cell.get_label())] for cell in cells]
    return {"title": _words(bar.get_ylabel()), "entries": entries}


def _areas(ax: Axes) -> Iterator[dict[str, Any]]:
    """Yield the bands that span the axes."""
    for patch in ax.patches:
        if not isinstance(patch, Rectangle):
            raise Undrawable
        across = _across(ax, patch)
        box = patch.get_bbox()
        ends = (box.y0, box.y1) if across == "y" else (box.x0, box.x1)
        face = _colours(patch.get_facecolor())[0]
        style = {"c": to_hex(face), "a": _alpha(face[3])}
        yield {"k": "span", "of": across, "ends": numbers(ends), **style, **_label(patch)}


def _across(ax: Axes, artist: Rectangle | Line2D) -> str:
    """Return the axis of the values of a line or band that spans the axes."""
    own = artist.get_data_transform() if isinstance(artist, Rectangle) else artist.get_transform()
    for name, blended in (("y", ax.get_yaxis_transform("grid")), ("x", ax.get_xaxis_transform("grid"))):
        if own is blended:
            return name
    raise Undrawable


def _lines(ax: Axes) -> Iterator[dict[str, Any]]:
    """Yield the lines and the points of all line artists with data."""
    for line in ax.lines:
        style = {"c": to_hex(line.get_color()), "a": _alpha(line.get_alpha()), **_label(line)}
        if line.get_transform() is not ax.transData:
            of = _across(ax, line)
            at = np.asarray(line.get_ydata() if of == "y" else line.get_xdata(), dtype=float)[0]
            yield {"k": "rule", "of": of, "at": _number(float(at)), **_stroke(line), **style}
            continue
        xy = {"x": numbers(line.get_xdata()), "y": numbers(line.get_ydata())}  # type: ignore[arg-type]
        if len(xy["x"]) > 1 and line.get_linestyle() not in ("None", "none", "", " "):
            yield {"k": "line", **xy, **_stroke(line), **style}
            style.pop("label", None)
        if line.get_marker() not in CAPS and (xy["x"] or "label" in style):
            yield {"k": "dots", **xy, **style, **_marker(line)}


def _stroke(line: Line2D) -> dict[str, Any]:
    return {"w": line.get_linewidth(), **({"dash": 1} if line.get_linestyle() != "-" else {})}


def _marker(line: Line2D) -> dict[str, Any]:
    face, edge = line.get_markerfacecolor(), line.get_markeredgecolor()
    hollow = face in ("none", "white") or to_hex(face) == "#ffffff"
    shape = {"*": "star"}.get(str(line.get_marker()), "")
    return {
        "c": to_hex(edge if hollow else face),
        "s": round(line.get_markersize() * (0.75 if shape else 1), 2),
        **({"hollow": 1} if hollow else {}),
        **({"shape": shape} if shape else {}),
    }


def _collections(ax: Axes) -> Iterator[dict[str, Any]]:
    """Yield bands, error bars and scattered points."""
    for found in ax.collections:
        if isinstance(found, LineCollection):
            ends = np.array([one for one in found.get_segments() if len(one) == 2], dtype=float).reshape(-1, 2)
            colour = to_hex(_colours(found.get_colors())[0])
            yield {"k": "bars", "x": numbers(ends[:, 0]), "y": numbers(ends[:, 1]), "c": colour, "w": 1}
        elif isinstance(found, PathCollection):
            yield from _scattered(found)
        elif isinstance(found, PolyCollection):
            face = _colours(found.get_facecolor())[0]
            for path in found.get_paths():
                corners = np.asarray(path.vertices, dtype=float)
                style = {"c": to_hex(face), "a": _alpha(face[3]), **_label(found)}
                yield {"k": "area", "x": numbers(corners[:, 0]), "y": numbers(corners[:, 1]), **style}
        else:
            raise Undrawable


def _colours(found: Any) -> list[tuple[float, float, float, float]]:
    """Return the colours of a collection as (red, green, blue, alpha)."""
    return [(r, g, b, a) for r, g, b, a in np.asarray(found, dtype=float).reshape(-1, 4).tolist()]


def _scattered(found: PathCollection) -> Iterator[dict[str, Any]]:
    """Yield scattered points, grouped by colour and size."""
    places = np.asarray(found.get_offsets(), dtype=float).reshape(-1, 2)
    n, faces = max(len(places), 1), _colours(found.get_facecolor())
    sizes = np.resize(np.sqrt(found.get_sizes()), n).tolist()
    style = {"a": _alpha(faces[0][3]), **_label(found)}
    looks = [(to_hex(faces[i % len(faces)]), round(sizes[i], 2)) for i in range(n)]
    for colour, size in dict.fromkeys(looks):
        mine = [i for i in range(len(places)) if looks[i] == (colour, size)]
        x, y = numbers(places[mine, 0]), numbers(places[mine, 1])
        if x or "label" in style:
            yield {"k": "dots", "x": x, "y": y, "c": colour, "s": size, **style}
        style.pop("label", None)


def _alpha(alpha: float | None) -> float:
    return 1 if alpha is None else round(float(alpha), 3)


def _label(artist: Line2D | Rectangle | Collection) -> dict[str, str]:
    label = _words(artist.get_label())
    return {"label": label} if label else {}


def _runs(seeds: Seeds | None, key: dict[str, Any] | None) -> dict[str, Any]:
    """Return the runs, coloured by the rank of their value if the key has as many entries."""
    if seeds is None or not len(seeds.x):
        return {}
    runs: dict[str, Any] = {"id": list(seeds.runs), "x": numbers(seeds.x), "y": numbers(seeds.y)}
    if key and seeds.by is not None:
        ranked, rank = np.unique(seeds.by, return_inverse=True)
        if len(ranked) == len(key["entries"]):
            runs["c"] = rank.tolist()
    return {"runs": runs}
