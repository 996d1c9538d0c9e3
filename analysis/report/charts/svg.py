"""Draw a figure's data as one plain SVG, for the page without its script.

The page's script draws the same data (templates/charts.js); figures for papers are drawn by matplotlib.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.figures.equation import without_markup
from analysis.figures.style import GREY_LINE, INK, log_ticks, without_touching
from analysis.numbers import number, power_of_ten

Chart = dict[str, Any]

PX = 1.35
"""Pixels per point, the unit of line widths and marker sizes."""

LEFT, RIGHT, TOP, BOTTOM = 58, 10, 8, 42
"""Margins around the axes of a panel, in pixels."""

LINE, CHARACTER, LETTER, GLYPH = 15, 6.1, 6.8, 16
"""In pixels: height of a line of text, width of a digit, width of a letter, width of a mark in the legend."""

FONT = "font-family='system-ui, DejaVu Sans, sans-serif' font-size='11'"


@dataclass(frozen=True)
class Size:
    """The size of a panel in pixels, without title and legend; columns: panels in a row."""

    width: int
    height: int
    columns: int


USUAL, SMALL = Size(460, 322, 2), Size(250, 200, 4)
"""Of a few panels, and of many."""
KEYS = 16
"""Number of colours above which the key has an even choice of them."""
MANY = 4
"""Number of panels above which they are small, as with the script."""


def svg_of(charts: Sequence[Chart]) -> bytes:
    """Return the panels as one SVG."""
    size = SMALL if len(charts) > MANY else USUAL
    together = len(charts) > 1 and len({_legend(chart, size.width, key=True)[0] for chart in charts}) == 1
    panels = [_panel(chart, size, legend=not together) for chart in charts]
    columns, rows = min(size.columns, len(panels)), list[str]()
    bottom = 0.0
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        rows += [f"<g transform='translate({i * size.width},{bottom:g})'>{body}</g>" for i, (body, _) in enumerate(row)]
        bottom += max(height for _, height in row)
    if together:
        legend, height = _legend(charts[0], columns * size.width, key=True)
        rows.append(f"<g transform='translate(0,{bottom:g})'>{legend}</g>")
        bottom += height + 8
    box = f"0 0 {columns * size.width} {bottom:g}"
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{box}' {FONT} fill='{INK}'>{''.join(rows)}</svg>".encode()


def _panel(chart: Chart, size: Size, *, legend: bool) -> tuple[str, float]:
    """Return a panel with its title above and its legend (if it has its own) below, and its height."""
    title = without_markup(chart.get("title", ""))
    above = LINE + 4 if title else 0
    head = f"<text x='{LEFT}' y='12' font-weight='600'>{_escaped(title)}</text>" if title else ""
    axes = _Axes(chart, size)
    own, below = _legend(chart, size.width, key=size is USUAL) if legend else ("", 0.0)
    at = above + size.height
    body = f"{head}<g transform='translate(0,{above})'>{axes.drawn()}</g><g transform='translate(0,{at})'>{own}</g>"
    return body, at + below + 8


class _Axes:
    """One panel's scales, and what is drawn in them."""

    def __init__(self, chart: Chart, size: Size) -> None:
        self._chart = chart
        self._pixels = {"x": (LEFT, size.width - RIGHT), "y": (size.height - BOTTOM, TOP)}

    def _place(self, of: str, values: Any) -> np.ndarray:
        """Return the pixel positions of values, NaN for values that have none."""
        log, (low, high) = self._chart[of]["log"], self._chart[of]["ends"]
        found = np.array([math.nan if value is None else value for value in np.atleast_1d(values)], dtype=float)
        scale: Callable[[Any], Any] = np.log if log else np.asarray
        with np.errstate(all="ignore"):
            share = (scale(found) - scale(low)) / (scale(high) - scale(low))
        start, end = self._pixels[of]
        return np.where(np.isfinite(share), start + share * (end - start), np.nan)

    def drawn(self) -> str:
        """Draw grid, ticks, labels and marks, clipped to the axes."""
        (left, right), (bottom, top) = self._pixels["x"], self._pixels["y"]
        marks = "".join(map(self._mark, self._chart["marks"]))
        inside = f"<svg x='{left}' y='{top}' width='{right - left}' height='{bottom - top}' "
        inside += f"viewBox='{left} {top} {right - left} {bottom - top}'>{marks}</svg>"
        frame = f"<path d='M{left},{top}V{bottom}H{right}' fill='none' stroke='{INK}'/>"
        return f"{self._ticks('x')}{self._ticks('y')}{frame}{inside}{self._labels()}"

    def _ticks(self, of: str) -> str:
        """Draw the grid and tick labels, leaving out labels of the x axis that would overlap."""
        axis, (left, right), (bottom, top) = self._chart[of], self._pixels["x"], self._pixels["y"]
        values = ticks(*axis["ends"], log=axis["log"])
        places, words, parts = self._place(of, values).tolist(), list(map(_writer(values), values)), list[str]()
        if of == "x":
            words = without_touching(words, places, CHARACTER)
        for word, at in zip(words, places, strict=True):
            if of == "y":
                parts.append(f"<path d='M{left},{at:.1f}H{right}' stroke='{GREY_LINE}'/>")
                parts.append(f"<text x='{left - 6}' y='{at + 4:.1f}' text-anchor='end'>{word}</text>")
                continue
            parts.append(f"<path d='M{at:.1f},{top}V{bottom}' stroke='{GREY_LINE}'/>")
            if word:
                parts.append(f"<text x='{at:.1f}' y='{bottom + 15}' text-anchor='middle'>{word}</text>")
        return "".join(parts)

    def _labels(self) -> str:
        (left, right), (bottom, top) = self._pixels["x"], self._pixels["y"]
        x, y = (_escaped(without_markup(self._chart[of]["label"])) for of in ("x", "y"))
        turned = f"transform='translate(12,{(top + bottom) / 2:g}) rotate(-90)' text-anchor='middle'"
        below = f"x='{(left + right) / 2:g}' y='{bottom + 34}' text-anchor='middle'"
        return f"<text {below}>{x}</text><text {turned}>{y}</text>"

    def _mark(self, mark: dict[str, Any]) -> str:
        (left, right), (bottom, top) = self._pixels["x"], self._pixels["y"]
        stroke, filled = _stroke(mark), _filled(mark)
        if mark["k"] == "rule":
            at = self._place(mark["of"], mark["at"])[0]
            return _path(f"M{left},{at:.1f}H{right}" if mark["of"] == "y" else f"M{at:.1f},{top}V{bottom}", stroke)
        if mark["k"] == "span":
            a, b = self._place(mark["of"], mark["ends"]).tolist()
            across = mark["of"] == "y"
            box = f"M{left},{a:.1f}H{right}V{b:.1f}H{left}Z" if across else f"M{a:.1f},{top}V{bottom}H{b:.1f}V{top}Z"
            return _path(box, filled)
        places = list(zip(self._place("x", mark["x"]).tolist(), self._place("y", mark["y"]).tolist(), strict=True))
        if mark["k"] == "bars":
            ends = (
                f"{'L' if i % 2 else 'M'}{x:.1f},{y:.1f}" for i, (x, y) in enumerate(places) if not math.isnan(x + y)
            )
            return _path("".join(ends), stroke)
        if mark["k"] == "line":
            return _path(_joined(places), stroke)
        return _path(_joined(places), filled) if mark["k"] == "area" else _dots(places, mark)


def _faint(mark: Chart) -> str:
    return f" opacity='{mark['a']}'" if mark.get("a", 1) != 1 else ""


def _stroke(mark: Chart) -> str:
    dash = " stroke-dasharray='5 3'" if mark.get("dash") else ""
    return f"fill='none' stroke='{mark['c']}' stroke-width='{mark.get('w', 1) * PX:.2f}'{dash}{_faint(mark)}"


def _filled(mark: Chart) -> str:
    return f"fill='{mark['c']}'{_faint(mark)}"


def _dots(places: Sequence[tuple[float, float]], mark: Chart) -> str:
    """Draw points: discs, circles or stars."""
    faint = _faint(mark)
    seen, r = [(x, y) for x, y in places if not math.isnan(x + y)], mark["s"] * PX / 2
    if mark.get("shape"):
        turns = [(r * (0.45 if i % 2 else 1), i * math.pi / 5) for i in range(10)]
        stars = (
            "M"
            + "L".join(f"{x + far * math.sin(turn):.1f},{y - far * math.cos(turn):.1f}" for far, turn in turns)
            + "Z"
            for x, y in seen
        )
        style = f"fill='none' stroke='{mark['c']}'" if mark.get("hollow") else f"fill='{mark['c']}' stroke='{INK}'"
        return _path("".join(stars), f"{style}{faint}")
    if mark.get("hollow"):
        d = "".join(
            f"M{x - r:.1f},{y:.1f}a{r:.2f},{r:.2f} 0 1,0 {2 * r:.2f},0a{r:.2f},{r:.2f} 0 1,0 {-2 * r:.2f},0"
            for x, y in seen
        )
        return _path(d, f"fill='none' stroke='{mark['c']}' stroke-width='1.2'{faint}")
    d = "".join(f"M{x:.1f},{y:.1f}h0" for x, y in seen)
    return _path(d, f"stroke='{mark['c']}' stroke-width='{mark['s'] * PX:.2f}' stroke-linecap='round'{faint}")


def _path(d: str, style: str) -> str:
    return f"<path d='{d}' {style}/>" if d else ""


def _joined(places: Sequence[tuple[float, float]]) -> str:
    """Return a path through positions, interrupted at NaN."""
    steps, open_ = list[str](), False
    for x, y in places:
        if math.isnan(x + y):
            open_ = False
            continue
        steps.append(f"{'L' if open_ else 'M'}{x:.1f},{y:.1f}")
        open_ = True
    return "".join(steps)


def _legend(chart: Chart, width: int, *, key: bool) -> tuple[str, float]:
    """Return the legend of marks and colours, and its height."""
    labelled = [(mark, mark["label"]) for mark in chart["marks"] if "label" in mark]
    coloured = _colours(**chart["key"]) if key and "key" in chart else []
    parts, y = list[str](), 0.0
    for entries in filter(None, (labelled, coloured)):
        x, y = float(LEFT), y + LINE
        for mark, words in entries:
            wide = LETTER * len(without_markup(words)) + (GLYPH + 14 if mark else 8)
            if x > LEFT and x + wide > width:
                x, y = float(LEFT), y + LINE
            parts.append(_entry(x, y, mark, words))
            x += wide
    return "".join(parts), y


def _colours(title: str, entries: Sequence[tuple[str, str]]) -> list[tuple[Chart | None, str]]:
    """Return the colour key's marks and labels after its title; of many, an even choice with both ends."""
    every = math.ceil(len(entries) / KEYS)
    chosen = [one for i, one in enumerate(entries) if i % every == 0 or i == len(entries) - 1]
    some = f" ({len(chosen)} of {len(entries)})" if every > 1 else ""
    return [(None, f"{title}{some}:"), *(({"k": "dots", "c": colour, "s": 6}, words) for colour, words in chosen)]


def _entry(x: float, y: float, mark: Chart | None, words: str) -> str:
    """Draw a legend entry: the mark, if any, and its label."""
    if mark is None:
        return f"<text x='{x:.1f}' y='{y:.1f}'>{_raised(words)}</text>"
    end, middle = x + GLYPH, y - 4
    if mark["k"] == "dots":
        drawn = _dots([(x + GLYPH / 2, middle)], {**mark, "s": max(4, min(mark["s"], 7))})
    elif mark["k"] in ("area", "span"):
        drawn = _path(f"M{x:.1f},{y - 9:.1f}H{end:.1f}V{y:.1f}H{x:.1f}Z", _filled(mark))
    else:
        drawn = _path(f"M{x:.1f},{middle:.1f}H{end:.1f}", _stroke(mark))
    return f"{drawn}<text x='{end + 4:.1f}' y='{y:.1f}'>{_raised(words)}</text>"


def ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Return the tick positions: powers of ten, 1-2-5 multiples of them, or round numbers."""
    if log and high / low >= 5:
        return log_ticks(low, high)
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _writer(values: Sequence[float]) -> Callable[[float], str]:
    sizes = [abs(value) for value in values if value]
    wide = bool(sizes) and (max(sizes) >= 1e4 or min(sizes) < 1e-3)
    return lambda value: "0" if value == 0 else power_of_ten(value) if wide else number(value)


def _raised(label: str) -> str:
    """Convert HTML to SVG text, with superscripts and subscripts."""
    parts, level, before = list[str](), 0, 0
    for piece in re.split(r"(</?su[bp]>)", label):
        if piece.startswith(("<su", "</su")):
            level += 1 if piece in ("<sup>", "</sub>") else -1
            continue
        words = _escaped(without_markup(piece))
        if words and (level or before):
            size = " font-size='8'" if level else ""
            words = f"<tspan dy='{4 * (before - level)}'{size}>{words}</tspan>"
        parts.append(words)
        before = level if words else before
    return "".join(parts)


def _escaped(words: str) -> str:
    return html.escape(words, quote=False)
