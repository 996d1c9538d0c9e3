"""What a table can say: which laws to ask of it, by what was varied, each with its fit or the reason it was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError, attempt
from analysis.estimates.allocate import Known, allocate
from analysis.estimates.frontier import Frontier, frontier
from analysis.estimates.isoflop import isoflop
from analysis.fitting.result import Fit
from analysis.report.law_results import USUAL, Choice, Claim, Findings, How
from analysis.table.cells import budgets
from analysis.table.select import KEEPABLE, RECIPE, has_milestones, origins, recipe_differences, select_rows, tasks_of
from analysis.table.slices import Sweep, one_variable
from analysis.wording import counted, listed

MOST_GROUPS = 6
"""Groups of runs (family, data, recipe) that are analysed apart; more are a sweep of recipes, not of scale."""

MIN_SETTINGS = 4
"""Sizes of model, training and data set in a group; where there are several groups, those with fewer only compare."""

AHEAD = 10.0
"""How many times the largest C the allocation is told for."""

FEW_RUNS = 5
"""Runs below which drawing runs again says nothing: the milestones of two runs are two observations, not twenty."""

MOST_SWEEPS = 6
"""Sweeps of one variable that get laws of their own; the rest are drawn."""


def find(table: pd.DataFrame, how: How = USUAL, task: str | None = None) -> tuple[list[Findings], list[str]]:
    """Analyse a table (one task of it) group by group.

    Returns the findings and, in sentences, what could not be analysed.
    """
    named = task if len(tasks_of(table)) > 1 else None
    try:
        rows, left_out = select_rows(table, y="loss", pool=RECIPE, task=named)
    except (UserError, Refusal) as refusal:
        return [], [str(refusal)]
    own = table[table["task"].astype(str) == named] if named else table
    groups, refused = _groups(rows), []
    varied = [name for name in ("family", "data", *RECIPE) if name in rows.columns and rows[name].nunique() > 1]
    large = [one for one in groups if settings(one[2]) >= MIN_SETTINGS] if len(groups) > 1 else groups
    if len(large) < len(groups):
        kinds = counted(len(groups) - len(large), "kind") + " of runs" + (" alone" if large else "")
        refused.append(
            f"{kinds} (they differ in {listed(varied)}) have fewer than {MIN_SETTINGS} sizes of model or data each: "
            "they compare recipes, and no law is asked of them"
        )
    if len(large) > MOST_GROUPS:
        return [], [
            f"the runs are of {len(large)} kinds (they differ in {listed(varied)}), too many to fit each apart: "
            "no laws here; choose rows with scaling fit --where, or say what may differ with --pool"
        ]
    return [_find(own, group, name, Choice(where, named), left_out, how) for name, where, group in large], refused


def settings(rows: pd.DataFrame) -> int:
    """Count the different sizes of model, training and data set among rows."""
    names = [name for name in ("N", "D", "D_unique") if name in rows.columns]
    return len(rows[names].drop_duplicates()) if names else len(rows)


def responses(rows: pd.DataFrame) -> list[str]:
    """Return the responses to analyse: loss, and error where it was measured and is nowhere zero."""
    if "error" in rows.columns and rows["error"].notna().all() and (rows["error"] > 0).all():
        return ["loss", "error"]
    return ["loss"]


def _groups(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Split rows by family, data and the recipe columns that differ; return a name, a condition and rows of each."""
    names = [name for name in ("family", "data") if name in rows.columns and rows[name].nunique() > 1]
    names += list(recipe_differences(rows))
    if not names:
        one = [str(rows[name].iloc[0]) for name in ("family", "data") if name in rows.columns]
        return [(" on ".join(one), "", rows)]
    found = []
    for values, group in rows.groupby(names, dropna=False, sort=False):
        named = [(name, value) for name, value in zip(names, values, strict=True) if value == value]
        words = [str(value) if name in ("family", "data") else f"{name} {value}" for name, value in named]
        found.append((", ".join(words), " and ".join(f"{name} == {_literal(value)}" for name, value in named), group))
    return found


def _literal(value: object) -> str:
    """Write a value as it stands in a condition: numpy's numbers as Python's own."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _find(
    table: pd.DataFrame, rows: pd.DataFrame, name: str, choice: Choice, left_out: Sequence[str], how: How
) -> Findings:
    options: dict[str, Any] = vars(how)
    own = table[origins(table).isin(origins(rows))] if "run_id" in table.columns else table
    milestones, inside, notes = _milestones(own, rows)
    used = rows if milestones is None else milestones
    if milestones is not None:
        left_out = [text for text in left_out if "before the end" not in text]
    claims: list[Claim] = []
    frontiers, valleys = {}, {}
    y_all = responses(rows)
    is_grid = _is_isoflop(rows)
    two = {"N", "D"} <= set(used.columns) and min(used["N"].nunique(), used["D"].nunique()) > 1
    sweeps = _sweeps(rows, used, curves=not two)
    for y in y_all:
        if is_grid:
            found, why = attempt(partial(isoflop, rows, y=y, **options))
            if found:
                valleys[y] = found
            else:
                notes.append(f"no isoFLOP minima of {y}: {why}")
        if two:
            front, why = attempt(partial(frontier, used, y=y, **options))
            if front:
                frontiers[y] = front
                claims += [_on_frontier(front, law, choice, used, how) for law in ("power", "saturating")]
            else:
                notes.append(f"no frontier of {y}: {why}")
            claims.append(_claim(used, "chinchilla", y, None, choice, how))
    comparison, targets = None, [AHEAD * float(used["C"].max())] if "C" in used.columns else []
    if two and (is_grid or milestones is not None):
        law = next((claim.fit for claim in claims if claim.law == "chinchilla" and claim.y == "loss"), None)
        known = Known(law, valleys.get("loss"), frontiers.get("loss"))
        comparison, why = attempt(lambda: allocate(rows, at=targets, milestones=milestones, known=known, **options))
        notes += [f"no allocation: {why}"] if why else []
    if not is_grid:
        for y in y_all:
            for x, found_sweeps in sweeps.items():
                claims += _in_sweeps(found_sweeps, x, y, choice, how)
    return Findings(
        name=name,
        choice=choice,
        rows=rows,
        milestones=milestones,
        inside=inside,
        left_out=tuple(left_out),
        claims=tuple(claims),
        frontiers=frontiers,
        valleys=valleys,
        comparison=comparison,
        sweeps=sweeps,
        notes=tuple(notes),
    )


def _sweeps(rows: pd.DataFrame, used: pd.DataFrame, *, curves: bool) -> dict[str, list[Sweep]]:
    """Return the sweeps of one variable. curves: also those that are the learning curves of a few runs."""
    found = {"D": one_variable(used, "D"), "D_unique": one_variable(rows, "D_unique"), "N": one_variable(used, "N")}
    if not curves:
        found = {x: [one for one in sweeps if not _few(one.rows)] for x, sweeps in found.items()}
    return {**found, "D_unique": []} if found["D"] else found


def _few(rows: pd.DataFrame) -> bool:
    return "run_id" in rows.columns and has_milestones(rows) and origins(rows).nunique() < FEW_RUNS


def _is_isoflop(rows: pd.DataFrame) -> bool:
    """Tell a grid of sizes at equal compute: by its column budget, else by clusters of C."""
    if not {"N", "C"} <= set(rows.columns):
        return False
    if "budget" in rows.columns and rows["budget"].isna().any():
        return False
    budget, _ = attempt(partial(budgets, rows))
    return budget is not None and bool((rows["N"].groupby(budget).nunique() >= 3).sum() >= 2)


def _milestones(own: pd.DataFrame, rows: pd.DataFrame) -> tuple[pd.DataFrame | None, pd.DataFrame | None, list[str]]:
    """Return rows with constant-rate milestones, and the training curves inside decaying schedules."""
    if "final" not in own.columns or "schedule" not in own.columns or len(own) == len(rows):
        return None, None, []
    every, _ = attempt(lambda: select_rows(own, y="loss", rows="all", pool=RECIPE)[0])
    if every is not None and len(every) > len(rows):
        return every, None, []
    inside = own[own["loss"].notna()] if "loss" in own.columns else own
    return (
        None,
        inside,
        [f"{counted(len(inside) - len(rows), 'milestone')} inside decaying schedules: drawn faint, not fitted"],
    )


def _claim(rows: pd.DataFrame, law: str, y: str, x: str | None, choice: Choice, how: How) -> Claim:
    fitted, refusal = attempt(_fitting(rows, law, y, x, how))
    title = f"{y} in {x}" if x else f"{y} in N and D"
    return Claim(title, law, y, x, fitted, refusal, _options(law, y, x) + choice.options(rows))


def _fitting(
    rows: pd.DataFrame, law: str, y: str, x: str | None, how: How, objective: Literal["huber", "lsq"] = "huber"
) -> Callable[[], Fit]:
    from analysis.fitting.fit import fit

    which: Literal["all", "final"] = "all" if has_milestones(rows) else "final"
    # The rows were selected already; what differs among them is what the group allows.
    options: dict[str, Any] = {"pool": RECIPE, "keep": KEEPABLE, "rows": which, "objective": objective, **vars(how)}
    return partial(fit, rows, law=law, y=y, x=x, **options)


def _on_frontier(front: Frontier, law: str, choice: Choice, rows: pd.DataFrame, how: How) -> Claim:
    # The points are means, the best of many: least squares, not a loss that lets some of six points go.
    fitted, refusal = attempt(_fitting(front.table(), law, front.y, "C", how, objective="lsq"))
    options = f"frontier --law {law} --y {front.y}" + choice.options(rows)
    return Claim(f"best {front.y} in C", law, front.y, "C", fitted, refusal, options, remarks=front.warnings)


def _in_sweeps(sweeps: Sequence[Sweep], x: str, y: str, choice: Choice, how: How) -> list[Claim]:
    claims = []
    for sweep in list(sweeps)[-MOST_SWEEPS:]:
        few = _few(sweep.rows)
        for law in ("power", "saturating"):
            fitted, refusal = attempt(_fitting(sweep.rows, law, y, x, replace(how, resamples=0) if few else how))
            title = f"{y} in {x} at {sweep.words}"
            options = _options(law, y, x) + choice.options(sweep.rows, sweep.condition)
            remarks = (f"no intervals: all points are milestones of fewer than {FEW_RUNS} runs",) if few else ()
            claims.append(Claim(title, law, y, x, fitted, refusal, options, sweep, remarks))
    return claims


def _options(law: str, y: str, x: str | None) -> str:
    return f"fit --law {law} --y {y}" + (f" --x {x}" if x else "")
