"""What is asked of a group of runs and what is found in it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.estimates.allocate import Comparison
from analysis.estimates.frontier import Frontier
from analysis.estimates.isoflop import IsoFlop
from analysis.fitting.result import Fit
from analysis.table.select import has_milestones
from analysis.table.slices import Sweep


@dataclass(frozen=True)
class Choice:
    """Which rows of a table a group is of: a condition on its columns, and a task where the table has several."""

    where: str = ""
    task: str | None = None

    def options(self, rows: pd.DataFrame, condition: str = "") -> str:
        """Return the options of a command that choose the same rows, those of `condition` among them."""
        where = " and ".join(text for text in (condition, self.where) if text)
        words = [f' --where "{where}"' if where else "", f" --task {self.task}" if self.task else ""]
        return "".join(words) + (" --rows all" if has_milestones(rows) else "")


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
    choice: Choice
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

    @property
    def title(self) -> str:
        """Return the group's name, with its task where the table has several."""
        return f"{self.choice.task}, {self.name}" if self.choice.task else self.name

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
            "task": self.choice.task,
            "where": self.choice.where,
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
