"""Fit each group of runs with the laws suited to what it varies; refusals are kept with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import pandas as pd

from analysis.errors import attempt
from analysis.estimates.allocate import ApproachComparison, Precomputed, allocate
from analysis.estimates.frontier import Frontier, frontier
from analysis.estimates.frontier_law import fit_frontier
from analysis.estimates.isoflop import IsoFlop, isoflop
from analysis.estimates.selected import fit_selected
from analysis.report.groups import FEW_RUNS, Group, has_few_runs, split
from analysis.report.law_results import JOINT, ONE_VARIABLE, USUAL, GroupResults, LawOptions, LawResult
from analysis.table.select import is_usable
from analysis.table.slices import MIN_VALUES
from analysis.wording import counted, listed, one_word

AHEAD = 10.0
"""Multiples of the largest C for which the allocation is given."""

MOST_SLICES = 6
"""Maximum number of slices along one variable that are fitted; the others are only drawn."""


def fit_groups(
    table: pd.DataFrame, law_options: LawOptions = USUAL, task: str | None = None
) -> tuple[list[GroupResults], list[str]]:
    """Analyse a table (or one task of it) group by group.

    Returns the results and, in sentences, what could not be analysed.
    """
    groups, refused = split(table, task)
    return [_fit_group(group, law_options) for group in groups], refused


def _fit_group(group: Group, law_options: LawOptions) -> GroupResults:
    names = [y for y in ("loss", "error") if y == group.y or is_usable(group.rows, y)]
    notes = list(group.notes)
    minima: dict[str, IsoFlop] = {}
    frontiers: dict[str, Frontier] = {}
    for y in names:
        if group.is_isoflop:
            found, why = _minima(group, y, law_options)
            minima |= {y: found} if found else {}
            notes += [f"no isoFLOP minima of {y}: {why}"] if why else []
        if group.varies_N_and_D:
            front, why = attempt(partial(frontier, group.used, y=y, **law_options.intervals))
            frontiers |= {y: front} if front else {}
            notes += [f"no frontier of {y}: {why}"] if why else []
    laws = [law for y in names for law in _laws_of_group(group, frontiers.get(y), y, law_options)]
    allocation, why = _allocate(group, laws, minima.get(group.y), frontiers.get(group.y), law_options)
    notes += [f"no allocation: {why}"] if why else []
    if not group.is_isoflop:
        laws += [law for y in names for x in group.slices for law in _laws_of_slices(group, x, y, law_options)]
    notes += [] if laws else [_why_no_law(group.used, group.y)]
    own = {field.name: getattr(group, field.name) for field in fields(group)} | {"notes": tuple(notes)}
    return GroupResults(**own, laws=tuple(laws), frontiers=frontiers, minima=minima, allocation=allocation)


def _minima(group: Group, y: str, law_options: LawOptions) -> tuple[IsoFlop | None, str]:
    """Find a group's isoFLOP minima of y, or return why there are none."""
    found, why = attempt(partial(isoflop, group.rows, y=y, **law_options.intervals))
    if found and not found.usable and "budget" not in group.rows.columns:  # accidental clusters of C
        return None, f"none of its {len(found.minima)} clusters of equal C has a minimum inside its sizes"
    return found, why


def _why_no_law(rows: pd.DataFrame, y: str) -> str:
    """Return why no law was tried: too few values of N and D; without both, how to fit y to another column."""
    counts = " and ".join(f"{counted(rows[x].nunique(), 'value')} of {x}" for x in ("N", "D") if x in rows.columns)
    reason = (
        f"no law: found {counts or 'neither N nor D'}; wanted several of both, or {MIN_VALUES} of one beside the same "
        "value of the other"
    )
    if counts:
        return reason
    numbers = rows.select_dtypes("number").drop(columns=["loss", "error"], errors="ignore")
    others = [str(name) for name in numbers if numbers[name].nunique() >= MIN_VALUES and (numbers[name] > 0).all()]
    if not others:
        return reason
    command = f"scaling fit --law power --y {y} --x {one_word(others[0])}"
    return f"{reason}; `{command}` of this table fits a law of {listed(others, 3)} or another column"


def _laws_of_group(group: Group, front: Frontier | None, y: str, law_options: LawOptions) -> Iterator[LawResult]:
    """Fit the laws of a group's frontier and the laws in N and D."""
    select = group.subset.options(group.used)
    if front is not None:
        for law in ONE_VARIABLE:
            fitted, refusal = attempt(partial(fit_frontier, front, law_options.law(law), **law_options.intervals))
            again = f"frontier --law {law} --y {y}{law_options.options(law)}{select}"
            edges = front.share_at_edge > 0
            yield LawResult(
                f"best {y} in C", law, y, "C", fitted, refusal, again, remarks=front.warnings, at_edges=edges
            )
    if group.varies_N_and_D:
        joint, intervals = law_options.law(JOINT), law_options.intervals
        fitted, refusal = attempt(partial(fit_selected, group.used, joint, y=y, **intervals))
        again = f"fit --law {JOINT} --y {y}{law_options.options(JOINT)}{select}"
        yield LawResult(f"{y} in N and D", JOINT, y, None, fitted, refusal, again)


def _laws_of_slices(group: Group, x: str, y: str, law_options: LawOptions) -> Iterator[LawResult]:
    """Fit the one-variable laws to the last slices along x."""
    for along in group.slices[x][-MOST_SLICES:]:
        few = has_few_runs(along.rows)
        remarks = (f"no intervals: all points are milestones of fewer than {FEW_RUNS} runs",) if few else ()
        select = group.subset.options(along.rows, along.condition)
        for law in ONE_VARIABLE:
            options = law_options.intervals | ({"resamples": 0} if few else {})
            fitted, refusal = attempt(partial(fit_selected, along.rows, law_options.law(law), y=y, x=x, **options))
            again = f"fit --law {law} --y {y} --x {x}{law_options.options(law)}{select}"
            title = f"{y} in {x}" + (f" at {along.words}" if along.words else "")
            yield LawResult(title, law, y, x, fitted, refusal, again, along, remarks)


def _allocate(
    group: Group, laws: Sequence[LawResult], minima: IsoFlop | None, front: Frontier | None, law_options: LawOptions
) -> tuple[ApproachComparison | None, str]:
    """Compare the approaches to allocation, where N and D vary at equal compute or with milestones."""
    if not group.varies_N_and_D or not (group.is_isoflop or group.milestones is not None):
        return None, ""
    law = next((one.fit for one in laws if (one.law, one.y) == (JOINT, group.y)), None)
    targets = [AHEAD * float(group.used["C"].max())] if "C" in group.used.columns else []
    options: dict[str, Any] = {
        "milestones": group.milestones,
        "precomputed": Precomputed(law, minima, front),
        "form": law_options.law(JOINT),
        **law_options.intervals,
    }
    return attempt(partial(allocate, group.rows, y=group.y, at=targets, **options))
