"""Which figures a report has, with their captions; each saved as PNG and PDF and handed on for the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.compute import compute_numbers, draw_compute
from analysis.figures.cost import cost_numbers, draw_cost
from analysis.figures.equation import Curve, curve_of_fit
from analysis.figures.optimum import draw_optimum, optimum_numbers
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.single import draw_single, single_numbers
from analysis.figures.style import look, panels, save
from analysis.figures.valleys import draw_valleys, valley_numbers
from analysis.findings import Findings
from analysis.specials import drawings
from analysis.table import counted

BEYOND = 10.0
"""How far beyond the largest C the law of a compute figure is drawn; dashed, with its band."""


@dataclass(frozen=True)
class Picture:
    """One figure as it stands in a report."""

    name: str
    title: str
    caption: str
    svg: bytes
    wide: bool


Drawing = tuple[str, str, str, int, bool, Sequence[Callable[[Axes], None]]]
"""name, title, caption, panels, room for a colour bar, one function a panel."""


def pictures(
    findings: list[Findings], table: pd.DataFrame, folder: Path, source: Path | None = None
) -> list[list[Picture]]:
    """Draw all figures into FOLDER; return them group by group, and last those of the whole table.

    source: the results folder, where there is one: special figures look there for what stands beside the records.
    """
    many = len(findings) > 1
    shown = []
    for i, group in enumerate(findings, start=1):
        prefix = f"{i}_" if many else ""
        shown.append([_picture(drawing, folder, prefix) for drawing in _of_group(group)])
    cost = cost_numbers(table)
    whole = [_picture(special, folder, "") for special in drawings(table, source or folder)]
    if cost is not None:
        caption = "Wall time of each run against its forecast; the grey band is a factor of 1.5 either way."
        drawing: Drawing = ("cost", "Forecast against actual cost", caption, 1, False, [lambda ax: draw_cost(ax, cost)])
        whole.append(_picture(drawing, folder, ""))
    return [*shown, whole]


def _picture(drawing: Drawing, folder: Path, prefix: str) -> Picture:
    name, title, caption, n, bar, draw = drawing
    with look():
        figure, axes = panels(n, bar=bar)
        for ax, one in zip(axes, draw, strict=True):
            one(ax)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again for each format
    save(figure, folder, prefix + name)
    return Picture(prefix + name, title, caption, _svg(figure), n > 1)


def _svg(figure: Figure) -> bytes:
    text = io.BytesIO()
    with look():
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _of_group(group: Findings) -> Iterator[Drawing]:
    for y in ("loss", "error"):
        yield from _compute(group, y)
        if y in group.valleys:
            yield _valleys(group, y)
            if y == "loss":
                yield _optimum(group)
        for x in ("D", "D_unique", "N"):
            yield from _single(group, x, y)
    law = group.claim("chinchilla", "loss")
    if law and law.fit and law.sound:
        numbers = residual_numbers(law.fit)
        caption = (
            f"Residuals of the Chinchilla law, {law.fit.n_points} points; grey: two robust standard deviations "
            f"({2 * numbers.spread:.2g} %). A trend here is a shape that the law has not."
        )
        yield "residuals", "Residuals of the law in N and D", caption, 1, True, [lambda ax: draw_residuals(ax, numbers)]


def _compute(group: Findings, y: str) -> Iterator[Drawing]:
    if y not in group.rows.columns or group.rows[y].isna().any() or (group.rows[y] <= 0).any():
        return
    if not {"N", "C"} <= set(group.rows.columns):
        return
    front, law, curve = group.frontiers.get(y), group.drawn(y), None
    if law is not None and law.fit is not None:
        used = group.rows if group.milestones is None else group.milestones
        curve = curve_of_fit(law.fit, "C", float(used["C"].min()), float(used["C"].max()) * BEYOND)
    numbers = compute_numbers(
        group.rows, y=y, milestones=group.milestones, inside=group.inside, frontier=front, curve=curve
    )
    joined = "joined over their milestones" if group.milestones is not None else "of one size joined"
    said = f"Means over seeds, {joined}; colour is N."
    if front:
        said += f" Circles: the {len(front.points)} best for their compute ({front.rule})."
    if law and law.fit:
        said += f" Line: the {law.law} law through them with its {law.fit.level:.0%} interval, dashed beyond the runs."
    yield f"{y}_vs_compute", f"{y.capitalize()} against compute", said, 1, True, [lambda ax: draw_compute(ax, numbers)]


def _valleys(group: Findings, y: str) -> Drawing:
    found = group.valleys[y]
    numbers = valley_numbers(found, group.rows)
    lost = len(found.valleys) - len(found.usable)
    caption = (
        "Each colour is one compute budget; points are means over seeds, curves parabolas in log N through the sizes "
        f"near the minimum. {len(found.usable)} of {len(found.valleys)} minima are usable"
        + (f"; {lost} (hollow) lie at an edge or are too flat, and stay out of N*(C)." if lost else ".")
    )
    return (
        f"{y}_isoflop",
        f"{y.capitalize()} at equal compute",
        caption,
        1,
        True,
        [lambda ax: draw_valleys(ax, numbers)],
    )


def _optimum(group: Findings) -> Drawing:
    law = group.claim("chinchilla", "loss")
    fitted = law.fit if law and law.sound else None
    N, D = (optimum_numbers(group.valleys["loss"], group.rows, of=of, law=fitted) for of in ("N", "D"))
    level = group.valleys["loss"].level
    caption = (
        f"The best N and D for each budget, with {level:.0%} intervals, and the power law through the usable ones, "
        "dashed beyond the largest budget. Dotted: the optimum that the Chinchilla law implies."
    )
    draw: list[Callable[[Axes], None]] = [lambda ax: draw_optimum(ax, N), lambda ax: draw_optimum(ax, D)]
    return "optimum", "Compute-optimal N and D", caption, 2, False, draw


def _single(group: Findings, x: str, y: str) -> Iterator[Drawing]:
    sweeps = group.sweeps.get(x, [])
    if not sweeps or y not in group.rows.columns or group.rows[y].isna().any() or (group.rows[y] <= 0).any():
        return
    curves: list[Curve | None] = []
    for i, sweep in enumerate(sweeps):
        claim = group.drawn(y, sweep)
        low, high = float(sweep.rows[x].min()), float(sweep.rows[x].max())
        beyond = 4.0 if i == len(sweeps) - 1 else 1.0
        curves.append(curve_of_fit(claim.fit, x, low, high * beyond) if claim and claim.fit else None)
    numbers = single_numbers(sweeps, y, curves, group.rows)
    words = {"N": "N", "D": "D", "D_unique": "the size of the training set"}[x]
    fitted = sum(curve is not None for curve in curves)
    caption = f"Means over seeds with the seeds' range, one line for each {sweeps[0].held}"
    caption += (
        f"; {counted(fitted, 'law')}, that of the largest {sweeps[0].held} with its interval."
        if fitted
        else "; no laws asked."
    )
    yield (
        f"{y}_vs_{x}",
        f"{y.capitalize()} against {words}",
        caption,
        1,
        len(sweeps) > 1,
        [lambda ax: draw_single(ax, numbers)],
    )
