"""Select the figures of a group's laws and write their captions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.errors import attempt
from analysis.estimates.mixed_kinds import best_kinds
from analysis.estimates.multiplier import Comparison
from analysis.estimates.tuning.key_law import VARIES
from analysis.estimates.tuning.optima import Tuned
from analysis.estimates.tuning.trials import tuned_rates
from analysis.figures.activations import activation_numbers, draw_activations, read_activations
from analysis.figures.comparison import comparison_numbers, draw_both, draw_multiplier
from analysis.figures.compute import compute_numbers, draw_compute
from analysis.figures.cost import cost_numbers, draw_cost
from analysis.figures.equation import Curve, curve_of_fit
from analysis.figures.learning import MOST_RUNS, draw_learning, learning_numbers
from analysis.figures.optimum import draw_optimum, optimum_numbers
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.slices import draw_slices, slice_numbers
from analysis.figures.tuning import draw_miss, draw_optima, draw_tries, key_numbers
from analysis.figures.valleys import draw_valleys, lost_to, valley_numbers
from analysis.fitting.result import Fit
from analysis.numbers import percent
from analysis.report.captions import lowered, points_of
from analysis.report.charts.seeds import seeds_of
from analysis.report.drawing import Drawing
from analysis.report.law_results import JOINT, GroupResults
from analysis.table.budgets import budgets
from analysis.table.select import is_usable
from analysis.table.slices import Slice
from analysis.wording import counted

log = logging.getLogger(__name__)
BEYOND = 10.0
"""Factor beyond the largest C to which a law is drawn (dashed, with its band) in a compute figure."""


SPREAD = 1.3
"""Minimum ratio of largest to smallest C for a figure against compute."""


def group_figures(group: GroupResults) -> Iterator[Drawing]:
    """Yield the figures of a group's laws."""
    for y in ("loss", "error"):
        yield from _compute(group, y)
        if y in group.minima:
            yield _valleys(group, y)
            if y == group.y and len(group.minima[y].usable) > 1:
                yield _optimum(group)
        for x in group.slices:
            yield from _slices(group, x, y)
    law = group.law(JOINT, group.y)
    if law and law.fit:
        yield _residuals(law.fit, group.used)


def cost_figures(table: pd.DataFrame) -> Iterator[Drawing]:
    """Yield the figure of measured against forecast run times, if three or more runs have both."""
    cost = cost_numbers(table)
    if cost is not None:
        caption = "Wall time of each run against its forecast; the grey band is a factor of 1.5 either way."
        yield Drawing("cost", "Forecast against actual cost", caption, [partial(draw_cost, numbers=cost)])


def learning_figures(table: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Drawing]:
    """Yield the learning curves of runs; curves: see figures/learning.py."""
    found = learning_numbers(table, curves)
    if found:
        caption = (
            "Training and validation loss over the steps, from each run's points or, where these are few, from a few "
            f"examples in its log. Each model has up to {MOST_RUNS} runs, from the shortest to the longest."
        )
        draw = [partial(draw_learning, panel=panel, keyed=panel is found[0]) for panel in found]
        columns = min(4, len(found))
        yield Drawing("learning", "Learning curves", caption, draw, columns=columns, size=(2.6, 2.2))


def _residuals(fit: Fit, rows: pd.DataFrame) -> Drawing:
    numbers = residual_numbers(fit)
    caption = (
        f"Residuals of the {fit.law.capitalize()} law, {counted(fit.n_points, 'point')}; grey: two robust standard "
        f"deviations ({percent(2 * numbers.spread / 100)}). A trend is a shape that the law lacks."
    )
    draw = [partial(draw_residuals, numbers=numbers)]
    seeds = (
        [seeds_of(rows.assign(x=numbers.x, y=numbers.percent), "x", "y", by="N")] if len(rows) == fit.n_points else []
    )
    return Drawing("residuals", "Residuals of the law in N and D", caption, draw, bar=True, seeds=seeds)


def _compute(group: GroupResults, y: str) -> Iterator[Drawing]:
    used = group.used
    if not is_usable(group.rows, y) or not {"N", "C"} <= set(used.columns):
        return
    if used["C"].max() < SPREAD * used["C"].min():
        return
    front, law, curve = group.frontiers.get(y), group.shown(y), None
    if law is not None and law.fit is not None:
        curve = curve_of_fit(law.fit, "C", float(used["C"].min()), float(used["C"].max()) * BEYOND)
        curve = replace(curve, weak=law.status == "weak")
    numbers = compute_numbers(
        group.rows, y=y, milestones=group.milestones, inside=group.inside, frontier=front, curve=curve
    )
    joined = "the milestones of a run" if group.milestones is not None else "points of one size"
    lines = f"; lines join {joined}" if any(len(path.C) > 1 for path in numbers.paths) else ""
    caption = f"{_best_points(group.rows, y)}{lines}; colour is N."
    if front:
        caption += f" Circles: the {len(front.points)} best runs for their compute ({front.rule})."
    if law and law.fit:
        level = percent(law.fit.level)
        caption += f" Line: the {law.law} law fitted to these with its {level} interval, dashed beyond the runs."
    draw, seeds = [partial(draw_compute, numbers=numbers)], [seeds_of(used, "C", y, by="N")]
    yield Drawing(f"{y}_vs_compute", f"{y.capitalize()} against compute", caption, draw, bar=True, seeds=seeds)


def _best_points(rows: pd.DataFrame, y: str) -> str:
    """Say what the points of a figure over compute are, where only the best kind of runs at each setting counts."""
    best = best_kinds(rows, y, [name for name in ("N", "D", "C") if name in rows.columns])
    return points_of(best) + (", of the best kind at each setting" if len(best) < len(rows) else "")


def _valleys(group: GroupResults, y: str) -> Drawing:
    found = group.minima[y]
    numbers = valley_numbers(found, group.rows)
    lost = len(found.minima) - len(found.usable)
    caption = (
        f"Each colour is one compute budget; points are {lowered(_best_points(group.rows, y))}; curves are parabolas "
        "in log N through the sizes near the minimum, with one skew for all budgets. "
        f"{len(found.usable)} of {len(found.minima)} minima are usable"
        + (f"; {lost} (hollow: {lost_to(found.minima)}) are left out of N*(C)." if lost else ".")
    )
    draw, seeds = [partial(draw_valleys, numbers=numbers)], [seeds_of(group.rows, "N", y, by=budgets(group.rows))]
    return Drawing(f"{y}_isoflop", f"{y.capitalize()} at equal compute", caption, draw, bar=True, seeds=seeds)


def _optimum(group: GroupResults) -> Drawing:
    law, minima = group.law(JOINT, group.y), group.minima[group.y]
    fitted = law.fit if law else None
    N, D = (optimum_numbers(minima, group.rows, of=of, law=fitted) for of in ("N", "D"))
    caption = f"The best N and D for each budget, with {percent(minima.level)} intervals"
    caption += ", and the power law fitted to the usable ones, dashed beyond the largest budget." if N.curve else "."
    caption += " Grey: the optimum that the Chinchilla law implies." if N.parametric else ""
    draw = [partial(draw_optimum, numbers=one) for one in (N, D)]
    return Drawing("optimum", "Compute-optimal N and D", caption, draw)


def _slices(group: GroupResults, x: str, y: str) -> Iterator[Drawing]:
    slices = group.slices[x]
    if not slices or not is_usable(group.rows, y):
        return
    curves = [_curve(group, y, one, beyond=4.0 if one is slices[-1] else 1.0) for one in slices]
    numbers = slice_numbers(slices, y, curves, group.rows)
    words = "the size of the training set" if x == "D_unique" else x
    fitted = sum(curve is not None for curve in curves)
    each = " and ".join(word for word in (slices[0].held, "data set" if slices[0].examples else "") if word)
    caption = points_of(pd.concat([one.rows for one in slices]), ranges=True)
    caption += f", one line for each {each}" if each else ""
    largest = ", with the largest highlighted" if len(slices) > 1 else ""
    caption += f"; {counted(fitted, 'law')}{largest}." if fitted else "; no laws fitted."
    draw = [partial(draw_slices, numbers=numbers)]
    seeds = [seeds_of(pd.concat([one.rows for one in slices]), x, y, by=slices[0].held or None)]
    title = f"{y.capitalize()} against {words}"
    yield Drawing(f"{y}_vs_{x}", title, caption, draw, bar=len(slices) > 1, seeds=seeds)


def _curve(group: GroupResults, y: str, along: Slice, *, beyond: float) -> Curve | None:
    """Return the curve of a slice's law. beyond: factor past the largest x to which it is drawn."""
    result, x = group.shown(y, along), along.rows[along.x]
    if result is None or result.fit is None:
        return None
    return curve_of_fit(result.fit, along.x, float(x.min()), float(x.max()) * beyond)


def comparison_figure(found: Comparison) -> Drawing:
    """Return the figure of a comparison: both frontiers, and the compute multiplier over compute."""
    numbers = comparison_numbers(found)
    caption = (
        f"{found.sentence}. Left: all runs, and the lowest {found.y} at each compute by the law {found.law}; right: "
        f"the compute that {found.first} needs over that of {found.second}, at equal {found.y}. Bands: intervals; "
        "dashed: beyond the runs."
    )
    draw = [partial(draw_both, numbers=numbers), partial(draw_multiplier, numbers=numbers)]
    return Drawing("comparison", f"{found.first} and {found.second} at equal {found.y}", caption, draw)


def tuned_figures(found: Tuned, rows: pd.DataFrame) -> Iterator[Drawing]:
    """Yield three figures per key; without an optimum, only the tuning runs."""
    for key in found.keys:
        numbers = key_numbers(found, key, rows)
        name, draw = key.replace(".", "_"), partial(draw_tries, numbers=numbers)
        usable = f"{len(found.usable)} of {len(found.optima)} optima lie inside the values tried"
        caption = (
            f"{points_of(rows)}; each curve is fitted to the values near the best of its size and length. {usable}."
        )
        yield Drawing(
            f"tuned_{name}", f"{numbers.y_label.capitalize()} against {numbers.key}", caption, [draw], bar=True
        )
        if not found.usable:
            continue
        law, values = numbers.law, {name: [getattr(o, name) for o in found.usable] for name in ("N", "D")}
        sides = [name for name, x in values.items() if max(x) >= VARIES * min(x)] or ["N"]
        caption = "The best value at each size and length with its interval" + (
            f"; line: {key} = {law.rule()}." if law else "; too few for a law."
        )
        both = [partial(draw_optima, numbers=numbers, of=of) for of in sides]
        yield Drawing(f"tuned_{name}_law", f"Best {numbers.key} against size and length", caption, both, bar=True)
        caption = "All sizes and lengths on the scale of their own optimum; line: the median curvature."
        draw = partial(draw_miss, numbers=numbers)
        yield Drawing(f"tuned_{name}_cost", f"What a wrong {numbers.key} costs", caption, [draw], bar=True)


def figures_of_tries(table: pd.DataFrame) -> Iterator[Drawing]:
    """Yield the figures of the learning rate for a table of tuning runs."""
    rates = tuned_rates(table)
    if rates is not None:
        yield from tuned_figures(*rates)


def figures_of_activations(source: Path) -> Iterator[Drawing]:
    """Yield the coordinate check saved in a results folder by `scaling measure --activations`."""
    path = source / "activations.csv"
    if not path.is_file():
        return
    numbers, refusal = attempt(lambda: activation_numbers(read_activations(path)))
    if numbers is None:
        log.warning("%s", refusal)
        return
    caption = "How far the first steps move each layer's outputs: flat if a tuned rate stays right as models grow."
    draw = [partial(draw_activations, numbers=one) for one in numbers]
    yield Drawing("activations", "Coordinate check", caption, draw)
