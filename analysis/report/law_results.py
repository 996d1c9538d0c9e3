"""Results of the fits to a group of runs: laws, frontiers, isoFLOP minima and the allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.estimates.allocate import ApproachComparison
from analysis.estimates.frontier import Frontier
from analysis.estimates.isoflop import IsoFlop
from analysis.fitting.display.plain import PlainData, plain
from analysis.fitting.result import Fit
from analysis.laws import LAWS, Law, constrained_each
from analysis.laws.constrained_law import ConstrainedLaw
from analysis.report.groups import Group
from analysis.table.slices import Slice

ONE_VARIABLE = ("power", "saturating")
"""Laws fitted to a frontier or a slice."""
JOINT = "chinchilla"
"""The law in N and D."""
TRIED = (*ONE_VARIABLE, JOINT)


@dataclass(frozen=True)
class LawOptions:
    """The options that all laws of a report share: of their intervals, and constraints on parameters (fix, tie)."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0
    fix: Mapping[str, float] = field(default_factory=dict)
    tie: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise `UserError` for parameters that no law of the report has."""
        self.law(JOINT)

    @property
    def intervals(self) -> dict[str, Any]:
        """Return the interval settings as options."""
        return {"resamples": self.resamples, "level": self.level, "seed": self.seed}

    def law(self, name: str) -> Law:
        """Return one of the report's laws with the constraints on its parameters."""
        return dict(zip(TRIED, constrained_each([LAWS[one] for one in TRIED], self.fix, self.tie), strict=True))[name]

    def options(self, name: str) -> str:
        """Return the command-line options that fix and tie the parameters of a law."""
        law = self.law(name)
        if not isinstance(law, ConstrainedLaw):
            return ""
        fixed = [f" --fix {name}={value:g}" for name, value in law.fixed.items()]
        return "".join([*fixed, *(f" --tie {name}={other}" for name, other in law.tied.items())])


USUAL = LawOptions()


@dataclass(frozen=True)
class LawResult(PlainData):
    """One law fitted to rows, or the reason why it was refused.

    x: the variable of a one-variable law. options: command-line options that reproduce the fit. slice: the rows along x
    to which it was fitted (None: the whole group, or its frontier). at_edges: whether some of its points are the
    smallest or largest size at their compute.
    """

    title: str
    law: str
    y: str
    x: str | None
    fit: Fit | None
    refusal: str
    options: str
    slice: Slice | None = None
    remarks: tuple[str, ...] = ()
    at_edges: bool = False

    @property
    def status(self) -> str:
        """Return the certificate's status, but at best weak where sizes beyond the grid might be better."""
        found = self.fit.certificate.status if self.fit else "refused"
        return "weak" if found == "ok" and self.at_edges else found

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {name: plain(getattr(self, name)) for name in ("title", "options", "refusal", "status", "fit")}


@dataclass(frozen=True)
class GroupResults(Group):
    """A group of runs with all results of its fits; frontiers and minima by response."""

    laws: tuple[LawResult, ...]
    frontiers: dict[str, Frontier]
    minima: dict[str, IsoFlop]
    allocation: ApproachComparison | None

    def law(self, name: str, y: str) -> LawResult | None:
        """Return the result of a law in N and D for the whole group; None where it was not tried."""
        return next((one for one in self.laws if (one.law, one.y, one.x) == (name, y, None)), None)

    def shown(self, y: str, along: Slice | None = None) -> LawResult | None:
        """Return the law shown for a slice or the frontier: saturating if it lacks at most an interval, else power."""
        fitted = [one for one in self.laws if one.y == y and one.x and one.slice is along and one.fit]
        for one in fitted:
            reasons = one.fit.certificate.reasons if one.fit else ()
            if one.law == "saturating" and all(reason.startswith("no interval: all points") for reason in reasons):
                return one
        return next(iter(fitted), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "name": self.name,
            "task": self.subset.task,
            "where": self.subset.where,
            "n_rows": len(self.rows),
            "left_out": list(self.left_out),
            "laws": plain(self.laws),
            "frontier": plain(self.frontiers),
            "isoflop": plain(self.minima),
            "allocation": plain(self.allocation),
            "notes": list(self.notes),
        }
