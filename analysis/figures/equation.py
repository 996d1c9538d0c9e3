"""A law's curve and equation for drawing: numbers and text only."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.numbers import LOWERED, SUPERSCRIPTS, exponent, interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from analysis.estimates.powerline import PowerLine
    from analysis.fitting.result import Fit


WRITTEN = re.compile(r"\\text\{((?:\\.|[^\\}])*)\}")
"""A name in mathtext that is no symbol, as `symbol_of` writes it."""
WIDEST = 1.5
"""Factor beyond a curve's range within which a figure shows its band; a wider band is clipped."""


@dataclass(frozen=True)
class Curve:
    """A law along one axis: mean, ends of its band (None without resamples), equation, its exponent's interval."""

    x: np.ndarray
    y: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None
    equation: str
    interval: str
    weak: bool = False

    @property
    def reach(self) -> np.ndarray:
        """Return the values that set a figure's limits: the curve's, and the band's within a margin."""
        if self.band is None:
            return self.y
        ends = np.clip(self.band, np.nanmin(self.y) / WIDEST, np.nanmax(self.y) * WIDEST)
        return np.concatenate([self.y, ends.ravel()])

    @property
    def text(self) -> str:
        """Return the text for a legend."""
        return "  ".join(part for part in (self.equation, self.interval, "(weak)" * self.weak) if part)


def curve_of_fit(fit: Fit, x: str, low: float, high: float) -> Curve:
    """Compute a one-variable fit's mean curve and band over x from low to high."""
    grid = np.geomspace(low, high, 200)
    band, weak = fit.interval({x: grid}) if fit.intervals else None, fit.certificate.status == "weak"
    return Curve(grid, fit.predict({x: grid}), band, equation(fit, x), _exponent_interval(fit), weak)


def curve_of_line(line: PowerLine, symbol: str, x: str, low: float, high: float) -> Curve:
    """Compute a power line's curve and band."""
    grid = np.geomspace(low, high, 200)
    power = f"{symbol_of(x)}^{{{mathtext(exponent(line.exponent))}}}"
    text = f"${symbol} = {mathtext(number(line.coefficient, 3))}\\,{power}$"
    return Curve(grid, line.predict(grid), line.interval(grid), text, interval(line.exponent_interval, exponent))


def equation(fit: Fit, x: str) -> str:
    """Write a fit's law with its numbers, as mathtext."""
    formula = fit.engine.problem.law.formula
    head = "" if "=" in formula else f"{symbol_of(fit.y)} = "
    text = re.sub(r"\^\(([^()]*)\)", r"^{\1}", formula)
    text = re.sub(r"\^(-?)exp\(([^()]*)\)", r"^{\1exp[\2]}", text)
    text = re.sub(r"\^(-?\w+)", r"^{\1}", text)
    if not fit.params.get("E", 1.0) > 0:
        text = text.removeprefix("E + ")
    known = {"exp": r"\exp"} | {name: mathtext(_short(fit, name)) for name in fit.params}

    def value(match: re.Match[str]) -> str:
        return known.get(match[0], match[0])

    body = re.sub(r"[A-Za-z_]\w*", value, text).replace("--", "").replace("+ -", "- ").replace(" ", r"\;")
    names = {"x": symbol_of(x), "y": symbol_of(fit.y)}
    body = re.sub(r"\b[xy]\b", lambda match: names[match[0]], body)
    return f"${head}{body}$"


def _short(fit: Fit, name: str) -> str:
    """Write a parameter in short form for an equation."""
    value = fit.params[name]
    return exponent(value) if name in fit.engine.problem.law.exponents else number(value, 3)


def _exponent_interval(fit: Fit) -> str:
    """Write the interval of the exponent as signed in the equation, for a law with only one."""
    law = fit.engine.problem.law
    ends = fit.intervals.get(law.exponent or "")
    if ends and f"^-{law.exponent}" in law.formula:
        ends = -ends[1], -ends[0]
    return interval(ends, exponent)


def as_html(text: str) -> str:
    """Turn one of this module's mathtext equations into HTML."""
    parts = WRITTEN.split(text)
    names = [html.escape(re.sub(r"\\(.)", r"\1", name), quote=False) for name in parts[1::2]]
    return "".join(part for pair in zip_longest(map(_part_as_html, parts[::2]), names, fillvalue="") for part in pair)


def _part_as_html(text: str) -> str:
    text = (
        text.replace("$", "")
        .replace(r"\;", " ")
        .replace(r"\,", "\u2009")
        .replace(r"\times", "×")
        .replace(r"\exp", "exp")
    )
    text = text.replace("<", "&lt;").replace("{,}", ",")
    while (raised := re.sub(r"\^\{([^{}]*)\}", r"<sup>\1</sup>", text)) != text:  # from the innermost out
        text = raised
    text = re.sub(r"_\{([^{}]*)\}", r"<sub>\1</sub>", text)
    return re.sub(r"\^\*", "*", text).replace("-", "\u2212")


def without_markup(text: str) -> str:
    """Return HTML as plain text, with ^ before superscripts and _ before subscripts."""
    marked = text.replace("<sup>", "^").replace("<sub>", "_")
    return html.unescape(re.sub(r"<[^>]*>", "", marked))


def symbol_of(column: str) -> str:
    """Return a column as mathtext: L for a loss, err for an error, N for N; other names as they are written."""
    known = {"loss": "L", "error": "err", "D_unique": "D_{unique}"}
    if column in known or re.fullmatch(r"[A-Za-z]+", column):
        return known.get(column, column)
    return r"\text{" + re.sub(r"([\\{}$])", r"\\\1", " ".join(column.split())) + "}"


def mathtext(text: str) -> str:
    """Convert a written number to mathtext."""
    text = re.sub(f"[{SUPERSCRIPTS}]+", lambda match: f"^{{{match[0].translate(LOWERED)}}}", text)
    return text.replace("×", r"\times").replace("∞", r"\infty").replace("−", "-").replace(",", "{,}")


def draw_curve(
    ax: Axes, curve: Curve, colour: Any, *, known: tuple[float, float] | None = None, **line: object
) -> None:
    """Draw a law with its band. known: the range of the data, in which the line is solid; beyond it is dashed."""
    low, high = known or (curve.x[0], curve.x[-1])
    inside = (curve.x >= low * (1 - 1e-9)) & (curve.x <= high * (1 + 1e-9))
    if curve.band is not None:
        ax.fill_between(curve.x, *curve.band, color=colour, alpha=0.16, linewidth=0, zorder=2)
    style: dict[str, Any] = {"color": colour, "zorder": 4, "lw": 1.5, **line}
    ax.plot(curve.x, curve.y, **{**style, "ls": (0, (4, 2)), "lw": 1.1})
    ax.plot(curve.x[inside], curve.y[inside], **style, label=curve.text)
