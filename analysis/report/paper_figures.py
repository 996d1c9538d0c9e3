"""Figures for the reference paper's kinds of sweeps; a report shows those that match its table.

A new kind is one function in PAPER_FIGURES that maps a case to drawings, none for cases of another kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from analysis.errors import attempt
from analysis.estimates.conventions import OURS, Convention, compare_exponents, conventions_of
from analysis.estimates.frontier import MIN_POINTS, frontier
from analysis.estimates.ratio import ratio_at_equal_compute
from analysis.figures.allocation import AllocationNumbers, allocation_numbers, draw_allocation
from analysis.figures.paper.ablation import ablation_numbers, draw_ablation
from analysis.figures.paper.batches import batch_numbers, draw_batches
from analysis.figures.paper.filters import draw_locality, draw_mosaic, locality_lines, mosaics
from analysis.figures.paper.frontiers import draw_frontiers, frontier_numbers
from analysis.figures.paper.locality import Filters, filters_of, locality_of_noise
from analysis.figures.paper.recipes import draw_recipes, recipe_numbers
from analysis.figures.paper.shapes import best_words, draw_shapes, shape_numbers
from analysis.figures.paper.zhai import draw_zhai, zhai_numbers
from analysis.numbers import count, interval, measured, number, percent
from analysis.report.captions import lowered, points_of
from analysis.report.case import Case, crops_of, epoch_groups, has_all, is_ablation
from analysis.report.drawing import Drawing
from analysis.table.cells import has_repeats
from analysis.table.results import find_runs
from analysis.table.select import OWN_TASK, with_rules
from analysis.wording import augment_words


def paper_figures(case: Case) -> Iterator[Drawing]:
    """Yield the figures for a case's kinds of sweep."""
    for figures in PAPER_FIGURES:
        yield from figures(case)


def zhai(case: Case) -> Iterator[Drawing]:
    """Yield figures 1 and 6: error against compute, in our convention and the paper's."""
    if case.rows is None or not case.exponents:
        return
    numbers = [zhai_numbers(case.rows, case.y, found) for found in case.exponents]
    caption = (
        f"{points_of(case.rows)}; one line is one model on one data set over its epochs, colour is the model's size, "
        "the marker's area the data set's. Dashed: the law of the frontier with its interval. Left: multiply-adds "
        "counted twice; right, as the paper counts: once, and all parameters."
    )
    draw = [partial(draw_zhai, numbers=one) for one in numbers]
    yield Drawing("zhai", f"{case.y.capitalize()} against compute, size and data", caption, draw, bar=True)


def allocation(case: Case) -> Iterator[Drawing]:
    """Yield figure 8: the best model and data set at a fixed number of epochs."""
    if case.rows is None or not case.scaling:
        return
    groups = epoch_groups(case.rows)
    for i, convention in enumerate(conventions_of(case.rows)):
        found = _best_panels(case, groups, convention)
        if found is None:
            continue
        epochs, both = found
        if i and both[0].curve is None:
            continue  # without a line the conventions differ only in the axis
        caption = (
            f"The model and the data set that are best for their compute among runs of {number(epochs)} epochs, the "
            "length with the most usable optima. Hollow points are of the smallest or largest model or data set and "
            f"enter no line{'' if both[0].curve else '; the others are of too few sizes for one'}. "
            f"Convention: {convention.name} ({convention.N}, {convention.C})."
        )
        draw = [partial(draw_allocation, numbers=panel) for panel in both]
        yield Drawing(f"allocation_{convention.N}", f"Best model and data at {number(epochs)} epochs", caption, draw)


def _best_panels(
    case: Case, groups: pd.Series, convention: Convention
) -> tuple[float, tuple[AllocationNumbers, AllocationNumbers]] | None:
    """Return the length with the most optima inside the grid, the longest of those, and its panels."""
    assert case.rows is not None
    find = partial(allocation_numbers, y=case.y, convention=convention, level=case.law_options.level)
    found = []
    for epochs in sorted(groups.unique()):
        both, _ = attempt(partial(find, case.rows[groups == epochs], epochs=float(epochs)))
        if both is not None and (~both[0].edge).sum() >= MIN_POINTS:
            found.append((int((~both[0].edge).sum()), float(epochs), both))
    return max(found, key=lambda one: one[:2])[1:] if found else None


def families(case: Case) -> Iterator[Drawing]:
    """Yield figure 10: the families' frontiers, and their ratio at equal compute, tested over seeds."""
    rows = case.rows
    if rows is None or not {"family", "C", "N", "D"} <= set(rows.columns) or not 2 <= rows["family"].nunique() <= 5:
        return
    groups = {str(name): group for name, group in rows.groupby("family") if _has_frontier(group, case.y)}
    differing = [name for name in ("augment", "label_smoothing", "batch") if name in rows and rows[name].nunique() > 1]
    if len(groups) < 2 or differing:
        return
    resamples, level = case.law_options.resamples, case.law_options.level
    found = compare_exponents([(OURS, group) for group in groups.values()], case.y, resamples=resamples, level=level)
    numbers = frontier_numbers(dict(zip(groups, zip(groups.values(), found, strict=True), strict=True)), case.y)
    caption = (
        "Small: all runs; large: the best runs for their compute, with their law and its interval."
        f"{_ratio_words(groups, case.y, level)}"
    )
    yield Drawing("families", "Families at equal compute", caption, [partial(draw_frontiers, numbers=numbers)])


def _ratio_words(groups: dict[str, pd.DataFrame], y: str, level: float) -> str:
    """Return a sentence with the ratio of two families at equal compute; empty where there is none."""
    if len(groups) != 2:
        return ""
    (first, some), (second, others) = groups.items()
    ratio, _ = attempt(lambda: ratio_at_equal_compute(some, others, y, level=level))
    if ratio is None:
        return ""
    return (
        f" At equal compute the {y} of {first} is {measured(ratio.value)} of that of {second} "
        f"{interval(ratio.interval)} ({ratio.seeds} seeds, p = {number(ratio.p, 2)}; Student's t over seeds, wrong "
        f"in {percent(1 - ratio.level)} of cases where there is no difference)."
    )


def _has_frontier(rows: pd.DataFrame, y: str) -> bool:
    return rows["C"].nunique() >= 6 and attempt(lambda: frontier(rows, y=y, resamples=0))[0] is not None


def task_frontiers(cases: Sequence[Case]) -> Iterator[Drawing]:
    """Yield figure 7: the frontiers of the tasks on which stages evaluate the same models."""
    chosen = [case for case in cases if case.exponents and case.y == "error"]
    groups = {str(case.task): (case.rows, case.exponents[0]) for case in chosen if case.rows is not None}
    if len(groups) > 1:
        caption = (
            "Small: all runs; large: the best of each task for its (pre-training) compute, with their law "
            "and its interval. Task test: the networks' own."
        )
        draw = [partial(draw_frontiers, numbers=frontier_numbers(groups, "error"))]
        yield Drawing("tasks", "Error of each task against compute", caption, draw)


EQUAL = {"examples": "At equal examples a larger batch takes fewer steps.", "steps": "At equal steps it sees more."}


def batches(case: Case) -> Iterator[Drawing]:
    """Yield figure 5: error against batch size, at equal examples and at equal steps."""
    rows = case.rows
    if rows is None or not has_all(rows, "batch", "D", "step") or with_rules(rows)["batch"].nunique() < 3:
        return
    numbers = [batch_numbers(rows, case.y, of=of) for of in ("examples", "steps")]
    numbers = [one for one in numbers if one.lines]
    if numbers:
        caption = f"{points_of(rows, ranges=True)}. " + " ".join(EQUAL[one.of] for one in numbers)
        edge = sorted({batch for one in numbers for batch in one.at_edge})
        if edge:
            batch = ", ".join(map(count, edge))
            caption += f" The best rate is an end of those tried at batch {batch}, which may be better still."
        draw = [partial(draw_batches, numbers=one) for one in numbers]
        yield Drawing("batches", f"{case.y.capitalize()} against the batch", caption, draw, bar=True)


def ablation(case: Case) -> Iterator[Drawing]:
    """Yield figure 9: one component changed at a time."""
    if case.rows is None or case.ends is None or not is_ablation(case.rows):
        return
    numbers = ablation_numbers(case.ends, case.y, level=case.law_options.level)
    by_luck = number((1 - numbers.level) * len(numbers.variants), 2)
    caption = (
        f"One component changed at a time at equal compute, {len(numbers.base.values)} seeds of the base; intervals by "
        f"Welch's t, each wrong in {percent(1 - numbers.level)} of cases where there is no difference: of "
        f"{len(numbers.variants)} changes about {by_luck} stand out by luck."
    )
    draw = [partial(draw_ablation, numbers=numbers)]
    yield Drawing(
        "ablation", "What each component is worth", caption, draw, size=(6.4, 0.9 + 0.2 * len(numbers.variants))
    )


def shapes(case: Case) -> Iterator[Drawing]:
    """Yield the error of each depth against the number of parameters, at equal compute."""
    rows = case.ends
    if rows is None or not has_all(rows, "budget", "depth", "width", "N", "family"):
        return
    grid = rows[["depth", "width"]].drop_duplicates()
    if rows["family"].nunique() > 1 or min(grid["depth"].nunique(), grid["width"].nunique()) < 3:
        return
    numbers = shape_numbers(rows, case.y)
    caption = (
        "Each panel is one compute: at equal weights its runs have also seen equally many examples and differ in shape "
        f"alone. {points_of(rows, ranges=True)}. {best_words(numbers)}"
    )
    draw = [partial(draw_shapes, numbers=one) for one in numbers]
    columns = min(len(draw), 2 if len(draw) in (2, 4) else 3)
    yield Drawing("shapes", f"{case.y.capitalize()} of depths at equal compute", caption, draw, True, columns)


def augmentations(case: Case) -> Iterator[Drawing]:
    """Yield the benefit of each augmentation against the size of the data set."""
    rows = case.ends
    if rows is None or not {"augment", "D_unique", "N"} <= set(rows.columns) or rows["N"].nunique() != 1:
        return
    groups = _by_augmentation(rows)
    if len(groups) < 2 or min(group["D_unique"].nunique() for _, group in groups) < 3:
        return
    numbers = recipe_numbers(groups, "D_unique", case.y, x_label="training set size (examples)")
    same = "; the same model and number of steps throughout" if rows["step"].nunique() == 1 else ""
    caption = f"{points_of(rows, ranges=True)}{same}."
    draw = [partial(draw_recipes, numbers=numbers)]
    yield Drawing("augmentations", f"{case.y.capitalize()} by augmentation and data", caption, draw)


def _by_augmentation(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(augment_words(str(name)), group) for name, group in rows.groupby("augment", sort=False)]


def crops(case: Case) -> Iterator[Drawing]:
    """Yield the benefit of averaging over random crops of a test image against their number."""
    rows = case.ends
    if rows is None or not {"augment", "origin", "stage_recipe"} <= set(rows.columns):
        return
    rows = rows.assign(crops=crops_of(rows))
    usual = ~rows["stage_recipe"].map(str).str.contains("average=")
    if rows["crops"].isna().any() or rows.loc[usual, "crops"].nunique() < 3:
        return
    rows = rows[usual]
    plain = Case(case.table, case.source, OWN_TASK).ends
    own = plain[plain["run_id"].isin(rows["origin"])] if plain is not None else rows[:0]
    levels = {name: float(group[case.y].mean()) for name, group in _by_augmentation(own)}
    x_label, label = "random crops of each test image", "plain prediction"
    groups = _by_augmentation(rows)
    numbers = recipe_numbers(groups, "crops", case.y, x_label=x_label, levels=levels, level_label=label)
    points = lowered(points_of(rows, ranges=True))
    caption = f"Trained with the augmentation named, judged by mean probabilities; {points}."
    yield Drawing("crops", "Test-time augmentation", caption, [partial(draw_recipes, numbers=numbers)])


def filters(case: Case) -> Iterator[Drawing]:
    """Yield figures 11 and 12: first-layer filters and their locality, from the npz beside the records."""
    rows, runs = case.ends, find_runs(case.source) if case.source.is_dir() else None
    if rows is None or runs is None or case.task not in (None, OWN_TASK):
        return
    if not {"run_id", "augment", "D_unique", "seed", "N", "family", "width", "depth"} <= set(rows.columns):
        return
    kept = filters_of(rows, runs)
    if kept:
        yield _mosaics(rows, kept)
        yield from _locality(rows, kept)


def _mosaics(rows: pd.DataFrame, kept: Mapping[str, Filters]) -> Drawing:
    columns, grid = mosaics(rows, kept)
    caption = (
        "25 first-layer filters of the first seed (|weight|, the largest over channels, each scaled to its own "
        "maximum); the number is the mean locality of all its filters."
    )
    draw = [partial(draw_mosaic, numbers=one) for one in grid]
    return Drawing("filters", "First-layer filters", caption, draw, columns=columns, size=(2.4, 2.5))


def _locality(rows: pd.DataFrame, kept: Mapping[str, Filters]) -> Iterator[Drawing]:
    lines = locality_lines(rows, kept)
    if max(len(line.x) for line in lines) > 1:
        over = "filters and seeds, with the seeds' range" if has_repeats(rows) else "filters"
        caption = (
            "Locality of a filter: the share of its squared weights in the best window of a quarter of the image's "
            f"side, scaled so that even weights have 0 and a single window has 1; means over {over}."
        )
        noise = locality_of_noise(next(iter(kept.values())).weights.shape[1:])
        draw = [partial(draw_locality, lines=lines, noise=noise)]
        yield Drawing("locality", "Locality of first-layer filters", caption, draw)


PAPER_FIGURES: tuple[Callable[[Case], Iterator[Drawing]], ...] = (
    *(zhai, allocation, families, batches, ablation, shapes, augmentations, crops, filters),
)
