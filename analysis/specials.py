"""Figures and tables of particular kinds of sweeps; a report shows those whose kind its table is of.

A new kind is one function in `SPECIALS`: from a case to drawings, none where the case is of another kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.comparison import ratio_at_equal_compute
from analysis.conventions import Convention, exponents, known, tried, with_paper_columns
from analysis.figures.ablation import ablation_numbers, draw_ablation
from analysis.figures.allocation import AllocationNumbers, allocation_numbers, draw_allocation
from analysis.figures.batches import batch_numbers, draw_batches
from analysis.figures.filters import draw_locality, draw_mosaic, locality_lines, mosaics
from analysis.figures.frontiers import draw_frontiers, frontier_numbers
from analysis.figures.zhai import draw_zhai, zhai_numbers
from analysis.locality import filters_of, locality_of_noise
from analysis.result_tables import convention_table, efficiency_table, is_ablation, result_table, rounded
from analysis.results import find_runs
from analysis.table import RECIPE, select_rows
from analysis.text_table import TextTable

if TYPE_CHECKING:
    from analysis.gallery import Drawing

MOST_ROWS = 20_000
"""Rows beyond which special figures are not drawn: they show single runs."""


@dataclass(frozen=True)
class Case:
    """What a kind is told by: the table, where it came from, and one task of it.

    rows: settled final rows, with the milestones of constant-rate runs; y: error where it is measured, else loss.
    """

    table: pd.DataFrame
    source: Path
    task: str | None

    @cached_property
    def rows(self) -> pd.DataFrame | None:
        """Return the rows, None where there are none to use."""
        for rows in ("all", "final"):
            found = tried(partial(select_rows, self.table, y="loss", task=self.task, rows=rows, pool=RECIPE))
            if found is not None and len(found[0]) <= MOST_ROWS:
                return with_paper_columns(found[0])
        return None

    @cached_property
    def y(self) -> str:
        """Return the response."""
        rows = self.rows
        measured = rows is not None and "error" in rows.columns and rows["error"].notna().all()
        return "error" if measured and rows is not None and (rows["error"] > 0).all() else "loss"

    @property
    def named(self) -> str:
        """Return the task for a figure's name, empty for the plain one."""
        return "" if self.task in (None, "test") else "_" + str(self.task).replace(":", "_")


def drawings(table: pd.DataFrame, source: Path) -> Iterator[Drawing]:
    """Yield the special figures of a table."""
    cases = _cases(table, source)
    for case in cases:
        for special in SPECIALS:
            yield from special(case)
    yield from tasks(cases)


def tables(table: pd.DataFrame, source: Path) -> list[TextTable]:
    """Return the special tables of a table: efficiency, results, conventions."""
    found = [efficiency_table(source / "efficiency.csv")] if source.is_dir() else []
    settled = [case.rows for case in _cases(table, source) if case.rows is not None]
    y = "error" if settled and all("error" in rows and rows["error"].notna().all() for rows in settled) else "loss"
    if settled:
        found.append(tried(lambda: result_table(pd.concat(settled), y)))
    for case in _cases(table, source):
        if case.rows is not None and is_scaling(case.rows):
            found.append(convention_table(exponents(case.rows, case.y), case.y, case.named.strip("_")))
    return [one for one in found if one is not None]


def _cases(table: pd.DataFrame, source: Path) -> list[Case]:
    tasks = sorted(table["task"].dropna().astype(str).unique()) if "task" in table.columns else [None]
    return [Case(table, source, task) for task in tasks]


def is_scaling(rows: pd.DataFrame) -> bool:
    """Tell runs of several models on several data sets, one family and one recipe, over several lengths."""
    wanted = {"N", "C", "D", "D_unique", "width", "depth", "epochs"}
    if not wanted <= set(rows.columns) or rows[list(wanted)].isna().any(axis=None):
        return False
    fixed = [
        name for name in ("family", "data", "batch", "augment", "optim", "label_smoothing") if name in rows.columns
    ]
    one = all(rows[name].nunique() <= 1 for name in fixed)
    lengths = epoch_groups(rows).groupby([rows["N"], rows["D_unique"]]).nunique().max()
    return one and min(rows["N"].nunique(), rows["D_unique"].nunique(), lengths) >= 2


def epoch_groups(rows: pd.DataFrame) -> pd.Series:
    """Group lengths that are meant to be equal, under the largest: whole batches make 1.23 epochs of 1.25."""
    values = np.sort(rows["epochs"].astype(float).unique())
    cut = np.diff(np.log(values)) > 0.1
    group = np.concatenate([[0], np.cumsum(cut)])
    largest = {
        value: rounded(float(values[group == number].max())) for value, number in zip(values, group, strict=True)
    }
    return rows["epochs"].astype(float).map(largest)


def zhai(case: Case) -> Iterator[Drawing]:
    """Figures 1 and 6: error against compute, in our convention and the paper's."""
    rows = case.rows
    if rows is None or not is_scaling(rows):
        return
    numbers = [zhai_numbers(rows, case.y, convention) for convention in known(rows)]
    caption = (
        "Means over seeds; one line is one model on one data set over its epochs, colour is the model's size, the "
        "marker's area the data set's. Dashed: the law of the frontier with its interval. Left: multiply-adds counted "
        "twice; right, as the paper counts: once, and all parameters."
    )
    draw = [partial(draw_zhai, numbers=one) for one in numbers]
    yield f"zhai{case.named}", f"{case.y.capitalize()} against compute, size and data", caption, len(draw), True, draw


def allocation(case: Case) -> Iterator[Drawing]:
    """Figure 8: the best model and data set at a fixed number of epochs."""
    rows = case.rows
    if rows is None or not is_scaling(rows):
        return
    groups = epoch_groups(rows)
    for convention in known(rows):
        panels = _best_panels(rows, groups, case.y, convention)
        if panels is None:
            continue
        epochs, drawn = panels
        caption = (
            f"The model and the data set that are best for their compute among runs of {epochs:g} epochs, the length "
            "with the most usable optima. Hollow points are of the smallest or largest model or data set and enter no "
            "line. "
            f"Convention: {convention.name} ({convention.N}, {convention.C})."
        )
        name = f"allocation{case.named}_{convention.N}"
        draw = [partial(draw_allocation, numbers=panel) for panel in drawn]
        yield name, f"Best model and data at {epochs:g} epochs", caption, 2, False, draw


def _best_panels(
    rows: pd.DataFrame, groups: pd.Series, y: str, convention: Convention
) -> tuple[float, tuple[AllocationNumbers, AllocationNumbers]] | None:
    """Return the length with the most optima inside the grid, the longest of those, and its panels."""
    found = []
    for epochs in sorted(groups.unique()):
        panels = tried(partial(allocation_numbers, rows[groups == epochs], y, convention, epochs=float(epochs)))
        if panels is not None:
            found.append((int((~panels[0].edge).sum()), float(epochs), panels))
    return max(found, key=lambda one: one[:2])[1:] if found else None


def families(case: Case) -> Iterator[Drawing]:
    """Figure 10: the families' frontiers, and their ratio at equal compute, tested over seeds."""
    rows = case.rows
    if rows is None or not {"family", "C", "N", "D"} <= set(rows.columns) or not 2 <= rows["family"].nunique() <= 5:
        return
    groups = {str(name): group for name, group in rows.groupby("family") if group["C"].nunique() >= 6}
    differing = [name for name in ("augment", "label_smoothing", "batch") if name in rows and rows[name].nunique() > 1]
    if len(groups) < 2 or differing:
        return
    numbers = frontier_numbers(groups, case.y)
    caption = (
        "Small: all runs; large: those that are best for their compute, with the law through them and its interval."
    )
    names = list(groups)
    ratio = (
        tried(lambda: ratio_at_equal_compute(groups[names[0]], groups[names[1]], case.y)) if len(names) == 2 else None
    )
    if ratio is not None:
        caption += (
            f" At equal compute the {case.y} of {names[0]} is {ratio.value:.3f} of that of {names[1]} "
            f"[{ratio.interval[0]:.3f}, {ratio.interval[1]:.3f}] ({ratio.seeds} seeds, p = {ratio.p:.2g}; Student's t "
            f"over seeds, wrong in {1 - ratio.level:.0%} of cases where there is no difference)."
        )
    draw = [partial(draw_frontiers, numbers=numbers)]
    yield f"families{case.named}", "Families at equal compute", caption, 1, False, draw


def tasks(cases: list[Case]) -> Iterator[Drawing]:
    """Figure 7: the frontiers of the tasks that stages evaluate the same models on."""
    groups = {str(case.task): case.rows for case in cases if case.rows is not None and is_scaling(case.rows)}
    if len(groups) < 2:
        return
    y = "error" if all(case.y == "error" for case in cases if str(case.task) in groups) else "loss"
    numbers = tried(lambda: frontier_numbers(groups, y))
    if numbers is not None:
        caption = "The best of each task for its (pre-training) compute, with the law through them and its interval."
        yield (
            "tasks",
            f"{y.capitalize()} of each task against compute",
            caption,
            1,
            False,
            [partial(draw_frontiers, numbers=numbers)],
        )


def batches(case: Case) -> Iterator[Drawing]:
    """Figure 5: the error against the batch, at equal examples and at equal steps."""
    rows = case.rows
    if rows is None or not {"batch", "D", "step"} <= set(rows.columns) or rows["batch"].nunique() < 3:
        return
    if rows[["batch", "D", "step"]].isna().any(axis=None):
        return
    numbers = [batch_numbers(rows, case.y, of=of) for of in ("examples", "steps")]
    numbers = [one for one in numbers if one.lines]
    if numbers:
        caption = "Means over seeds with their range. " + " ".join(
            {
                "examples": "At equal examples a larger batch takes fewer steps.",
                "steps": "At equal steps it sees more.",
            }[one.of]
            for one in numbers
        )
        edge = sorted({f"{batch:.0f}" for one in numbers for batch in one.at_edge}, key=float)
        if edge:
            caption += f" The best rate is an end of those tried at batch {', '.join(edge)}, which may be better still."
        draw = [partial(draw_batches, numbers=one) for one in numbers]
        yield f"batches{case.named}", f"{case.y.capitalize()} against the batch", caption, len(draw), True, draw


def ablation(case: Case) -> Iterator[Drawing]:
    """Figure 9: one component changed at a time."""
    rows = case.rows
    if rows is None or not is_ablation(rows):
        return
    ends = rows[rows["final"].astype(bool)] if "final" in rows.columns else rows
    numbers = ablation_numbers(ends, case.y)
    caption = (
        f"One component changed at a time at equal compute, {len(numbers.base.values)} seeds of the base; intervals by "
        f"Welch's t, each wrong in {1 - numbers.level:.0%} of cases where there is no difference: of "
        f"{len(numbers.variants)} changes about {(1 - numbers.level) * len(numbers.variants):.1f} stand out by luck."
    )
    draw = [partial(draw_ablation, numbers=numbers)]
    yield f"ablation{case.named}", "What each component is worth", caption, 1, True, draw


def filters(case: Case) -> Iterator[Drawing]:
    """Figures 11 and 12: first-layer filters and their locality, from the npz beside the records."""
    rows, runs = case.rows, find_runs(case.source) if case.source.is_dir() else None
    if rows is None or runs is None or case.task not in (None, "test"):
        return
    if not {"run_id", "augment", "D_unique", "seed"} <= set(rows.columns):
        return
    kept = filters_of(rows, runs)
    if not kept:
        return
    ends = rows.drop_duplicates("run_id", keep="last")
    for i, row in enumerate(mosaics(ends, kept)):
        caption = (
            "25 first-layer filters (|weight|, the largest over channels, each scaled to its own maximum), least and "
            "most data; the number is the mean locality of all filters."
        )
        draw = [partial(draw_mosaic, numbers=one) for one in row]
        yield f"filters_{i + 1}", "First-layer filters", caption, len(draw), False, draw
    lines = locality_lines(ends, kept)
    if max(len(line.examples) for line in lines) > 1:
        caption = (
            "Locality of a filter: the share of its squared weights in the best window of a quarter of the image's "
            "side, scaled so that even weights have 0 and a single window has 1; means over filters and seeds, with "
            "the seeds' range."
        )
        noise = locality_of_noise(next(iter(kept.values())).weights.shape[1:])
        draw = [partial(draw_locality, lines=lines, noise=noise)]
        yield "locality", "Locality of first-layer filters", caption, 1, False, draw


SPECIALS: tuple[Callable[[Case], Iterator[Drawing]], ...] = (zhai, allocation, families, batches, ablation, filters)
