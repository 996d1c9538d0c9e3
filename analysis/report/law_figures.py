"""Which figures of its laws a group of runs has, with their captions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from analysis.figures.compute import compute_numbers, draw_compute
from analysis.figures.cost import cost_numbers, draw_cost
from analysis.figures.equation import Curve, curve_of_fit
from analysis.figures.optimum import draw_optimum, optimum_numbers
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.single import draw_single, single_numbers
from analysis.figures.valleys import draw_valleys, valley_numbers
from analysis.numbers import percent
from analysis.report.drawing import Drawing
from analysis.report.law_results import Findings
from analysis.wording import counted

BEYOND = 10.0
"""How far beyond the largest C the law of a compute figure is drawn; dashed, with its band."""


SPREAD = 1.3
"""Largest over smallest C from which a figure against compute has something to show."""


def of_group(group: Findings) -> Iterator[Drawing]:
    """Yield the figures of a group's laws."""
    for y in ("loss", "error"):
        yield from _compute(group, y)
        if y in group.valleys:
            yield _valleys(group, y)
            if y == "loss" and len(group.valleys[y].usable) > 1:
                yield _optimum(group)
        for x in ("D", "D_unique", "N"):
            yield from _single(group, x, y)
    law = group.claim("chinchilla", "loss")
    if law and law.fit and law.sound:
        numbers = residual_numbers(law.fit)
        caption = (
            f"Residuals of the Chinchilla law, {law.fit.n_points} points; grey: two robust standard deviations "
            f"({percent(2 * numbers.spread / 100)}). A trend here is a shape that the law has not."
        )
        draw = [partial(draw_residuals, numbers=numbers)]
        yield Drawing("residuals", "Residuals of the law in N and D", caption, draw, bar=True)


def of_cost(table: pd.DataFrame) -> Iterator[Drawing]:
    """Yield the figure of what runs took against their forecast, where three or more have both."""
    cost = cost_numbers(table)
    if cost is not None:
        caption = "Wall time of each run against its forecast; the grey band is a factor of 1.5 either way."
        yield Drawing("cost", "Forecast against actual cost", caption, [partial(draw_cost, numbers=cost)])


def _compute(group: Findings, y: str) -> Iterator[Drawing]:
    if y not in group.rows.columns or group.rows[y].isna().any() or (group.rows[y] <= 0).any():
        return
    used = group.rows if group.milestones is None else group.milestones
    if not {"N", "C"} <= set(used.columns) or used["C"].max() < SPREAD * used["C"].min():
        return
    front, law, curve = group.frontiers.get(y), group.drawn(y), None
    if law is not None and law.fit is not None:
        curve = curve_of_fit(law.fit, "C", float(used["C"].min()), float(used["C"].max()) * BEYOND)
    numbers = compute_numbers(
        group.rows, y=y, milestones=group.milestones, inside=group.inside, frontier=front, curve=curve
    )
    joined = "joined over their milestones" if group.milestones is not None else "of one size joined"
    said = f"Means over seeds, {joined}; colour is N."
    if front:
        said += f" Circles: the {len(front.points)} best for their compute ({front.rule})."
    if law and law.fit:
        said += (
            f" Line: the {law.law} law through them with its {percent(law.fit.level)} interval, dashed beyond the runs."
        )
    draw = [partial(draw_compute, numbers=numbers)]
    yield Drawing(f"{y}_vs_compute", f"{y.capitalize()} against compute", said, draw, bar=True)


def _valleys(group: Findings, y: str) -> Drawing:
    found = group.valleys[y]
    numbers = valley_numbers(found, group.rows)
    lost = len(found.valleys) - len(found.usable)
    caption = (
        "Each colour is one compute budget; points are means over seeds, curves parabolas in log N through the sizes "
        f"near the minimum. {len(found.usable)} of {len(found.valleys)} minima are usable"
        + (f"; {lost} (hollow) lie at an edge or are too flat, and stay out of N*(C)." if lost else ".")
    )
    draw = [partial(draw_valleys, numbers=numbers)]
    return Drawing(f"{y}_isoflop", f"{y.capitalize()} at equal compute", caption, draw, bar=True)


def _optimum(group: Findings) -> Drawing:
    law = group.claim("chinchilla", "loss")
    fitted = law.fit if law and law.sound else None
    N, D = (optimum_numbers(group.valleys["loss"], group.rows, of=of, law=fitted) for of in ("N", "D"))
    level = group.valleys["loss"].level
    caption = (
        f"The best N and D for each budget, with {percent(level)} intervals, and the power law through the usable "
        "ones, dashed beyond the largest budget. Dotted: the optimum that the Chinchilla law implies."
    )
    draw = [partial(draw_optimum, numbers=one) for one in (N, D)]
    return Drawing("optimum", "Compute-optimal N and D", caption, draw)


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
    each = sweeps[0].held + (" and data set" if sweeps[0].examples else "")
    caption = f"Means over seeds with the seeds' range, one line for each {each}"
    caption += f"; {counted(fitted, 'law')}, that of the largest stands out." if fitted else "; no laws asked."
    draw = [partial(draw_single, numbers=numbers)]
    yield Drawing(f"{y}_vs_{x}", f"{y.capitalize()} against {words}", caption, draw, bar=len(sweeps) > 1)
