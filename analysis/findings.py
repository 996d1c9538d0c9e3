"""What a table can say: which laws to ask of it, by what was varied, each with its fit or the reason it was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.allocate import Comparison, allocate, attempt
from analysis.cells import budgets
from analysis.errors import Refusal, UserError
from analysis.frontier import Frontier, frontier
from analysis.isoflop import IsoFlop, isoflop
from analysis.result import Fit
from analysis.sweeps import Sweep, one_variable
from analysis.table import KEEPABLE, RECIPE, counted, has_milestones, recipe_differences, select_rows

MOST_GROUPS = 6
"""Groups of runs (family, data, recipe) that are analysed apart; more are a sweep of recipes, not of scale."""

AHEAD = 10.0
"""How many times the largest C the allocation is told for."""

FEW_RUNS = 5
"""Runs below which drawing runs again says nothing: the milestones of two runs are two observations, not twenty."""

MOST_SWEEPS = 8
"""Sweeps of one variable that get laws of their own; the rest are drawn."""


@dataclass(frozen=True)
class Claim:
    """One law asked of the rows: its fit, or why it was refused. options: what `scaling fit` needs to do it again."""

    title: str
    law: str
    y: str
    x: str | None
    fit: Fit | None
    refusal: str
    options: str
    sweep: Sweep | None = None
    remarks: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Tell whether there is a fit and its certificate is not a refusal."""
        return self.fit is not None and self.fit.certificate.status != "refused"


@dataclass(frozen=True)
class Findings:
    """All that is found in the runs of one family, data set and recipe."""

    name: str
    where: str
    rows: pd.DataFrame
    milestones: pd.DataFrame | None
    inside: pd.DataFrame | None
    left_out: tuple[str, ...]
    claims: tuple[Claim, ...]
    frontiers: dict[str, Frontier]
    valleys: dict[str, IsoFlop]
    comparison: Comparison | None
    sweeps: dict[str, list[Sweep]]
    notes: tuple[str, ...]

    def claim(self, law: str, y: str) -> Claim | None:
        """Return the first claim of a law on the whole group, if it was asked."""
        return next((c for c in self.claims if c.law == law and c.y == y and c.x is None), None)

    def drawn(self, y: str, sweep: Sweep | None = None) -> Claim | None:
        """Return the claim shown for the frontier or a sweep: saturating where its certificate is ok, else power."""
        claims = [c for c in self.claims if c.y == y and c.x and c.sweep is sweep and c.sound]
        fine = [c for c in claims if c.fit and c.fit.certificate.status == "ok"]
        return next((c for c in fine if c.law == "saturating"), None) or next(iter(claims), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers."""
        claims = [
            {"title": c.title, "options": c.options, "refusal": c.refusal, "fit": c.fit.to_dict() if c.fit else None}
            for c in self.claims
        ]
        return {
            "name": self.name,
            "where": self.where,
            "n_rows": len(self.rows),
            "left_out": list(self.left_out),
            "laws": claims,
            "frontier": {y: found.to_dict() for y, found in self.frontiers.items()},
            "isoflop": {y: found.to_dict() for y, found in self.valleys.items()},
            "allocation": self.comparison.to_dict() if self.comparison else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class How:
    """How intervals are made, the same for all claims of a report."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0


USUAL = How()


def find(table: pd.DataFrame, how: How = USUAL) -> tuple[list[Findings], list[str]]:
    """Analyse a table group by group. Returns the findings and what could not be analysed, in sentences."""
    try:
        rows, left_out = select_rows(table, y="loss", pool=RECIPE)
    except (UserError, Refusal) as refusal:
        return [], [str(refusal)]
    groups = list(_groups(rows))
    if len(groups) > MOST_GROUPS:
        varied = [name for name in ("family", "data", *RECIPE) if name in rows.columns and rows[name].nunique() > 1]
        return [], [
            f"the runs are of {len(groups)} kinds (they differ in {', '.join(varied)}), too many to fit each apart: "
            "no laws here; choose rows with scaling fit --where, or say what may differ with --pool"
        ]
    return [_find(table, group, (name, where), left_out, how) for name, where, group in groups], []


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
    table: pd.DataFrame, rows: pd.DataFrame, named: tuple[str, str], left_out: Sequence[str], how: How
) -> Findings:
    name, where = named
    options: dict[str, Any] = vars(how)
    own = table[table["run_id"].isin(rows["run_id"])] if "run_id" in table.columns else table
    milestones, inside, notes = _milestones(own, rows)
    used = rows if milestones is None else milestones
    if milestones is not None:
        left_out = [text for text in left_out if "before the end" not in text]
    claims: list[Claim] = []
    frontiers, valleys = {}, {}
    y_all = responses(rows)
    sweeps = {x: one_variable(used, x) for x in ("D", "D_unique", "N")}
    if sweeps["D"]:
        sweeps["D_unique"] = []
    is_grid = _is_isoflop(rows)
    two = {"N", "D"} <= set(used.columns) and min(used["N"].nunique(), used["D"].nunique()) > 1
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
                claims += [_on_frontier(front, law, where, used, how) for law in ("power", "saturating")]
            else:
                notes.append(f"no frontier of {y}: {why}")
            claims.append(_claim(used, "chinchilla", y, None, where, how))
    comparison, targets = None, [AHEAD * float(used["C"].max())] if "C" in used.columns else []
    if two and (is_grid or milestones is not None):
        comparison, why = attempt(lambda: allocate(rows, at=targets, milestones=milestones, **options))
        notes += [f"no allocation: {why}"] if why else []
    if not is_grid:
        for y in y_all:
            for x, found_sweeps in sweeps.items():
                claims += _in_sweeps(found_sweeps, x, y, where, how)
    return Findings(
        name=name,
        where=where,
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


def _claim(rows: pd.DataFrame, law: str, y: str, x: str | None, where: str, how: How) -> Claim:
    fitted, refusal = attempt(_fitting(rows, law, y, x, how))
    title = f"{y} in {x}" if x else f"{y} in N and D"
    return Claim(title, law, y, x, fitted, refusal, _options(law, y, x, where) + _all(rows))


def _fitting(
    rows: pd.DataFrame, law: str, y: str, x: str | None, how: How, objective: Literal["huber", "lsq"] = "huber"
) -> Callable[[], Fit]:
    from analysis.fitting import fit

    which: Literal["all", "final"] = "all" if has_milestones(rows) else "final"
    # The rows were selected already; what differs among them is what the group allows.
    options: dict[str, Any] = {"pool": RECIPE, "keep": KEEPABLE, "rows": which, "objective": objective, **vars(how)}
    return partial(fit, rows, law=law, y=y, x=x, **options)


def _on_frontier(front: Frontier, law: str, where: str, rows: pd.DataFrame, how: How) -> Claim:
    # The points are means, the best of many: least squares, not a loss that lets some of six points go.
    fitted, refusal = attempt(_fitting(front.table(), law, front.y, "C", how, objective="lsq"))
    options = f"frontier --law {law} --y {front.y}" + (f' --where "{where}"' if where else "") + _all(rows)
    return Claim(f"best {front.y} in C", law, front.y, "C", fitted, refusal, options, remarks=front.warnings)


def _in_sweeps(sweeps: Sequence[Sweep], x: str, y: str, where: str, how: How) -> list[Claim]:
    claims = []
    for sweep in list(sweeps)[-MOST_SWEEPS:]:
        condition = f"{sweep.held} == {sweep.value:.15g}" + (f" and {where}" if where else "")
        few = "run_id" in sweep.rows.columns and sweep.rows["run_id"].nunique() < FEW_RUNS
        for law in ("power", "saturating"):
            fitted, refusal = attempt(_fitting(sweep.rows, law, y, x, replace(how, resamples=0) if few else how))
            title = f"{y} in {x} at {sweep.words}"
            options = _options(law, y, x, condition) + _all(sweep.rows)
            remarks = (f"no intervals: all points are milestones of fewer than {FEW_RUNS} runs",) if few else ()
            claims.append(Claim(title, law, y, x, fitted, refusal, options, sweep, remarks))
    return claims


def _options(law: str, y: str, x: str | None, where: str) -> str:
    words = [f"fit --law {law}", f"--y {y}"]
    words += [f"--x {x}"] if x else []
    words += [f'--where "{where}"'] if where else []
    return " ".join(words)


def _all(rows: pd.DataFrame) -> str:
    return " --rows all" if has_milestones(rows) else ""
