"""The same fit under every convention for N and C available in the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from analysis.errors import Refusal
from analysis.fitting.card import CONVENTIONS
from analysis.fitting.display.plain import PlainData, plain
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.laws import Law, constrained, get_law
from analysis.table.read import load_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class World:
    """One choice of conventions, and the fit under it (or why there is none)."""

    columns: dict[str, str]
    params: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    N_exponent: float | None
    N_exponent_interval: tuple[float, float] | None
    objective: float | None
    status: str
    reason: str


@dataclass(frozen=True)
class Multiverse(PlainData):
    """The fits of a law under all conventions, to show how far a result depends on the convention."""

    law: str
    worlds: tuple[World, ...]

    @property
    def N_exponents(self) -> tuple[float, float] | None:
        """The smallest and the largest exponent of the optimal N."""
        found = [world.N_exponent for world in self.worlds if world.N_exponent is not None]
        return (min(found), max(found)) if found else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return super().to_dict() | {"N_exponents": plain(self.N_exponents)}


def multiverse(
    table: pd.DataFrame | str,
    law: str | Law = "chinchilla",
    *,
    x: str | None = None,
    found: Fit | None = None,
    **options: Any,
) -> Multiverse:
    """Fit a law once for each convention of its inputs available in the table (N or x, and C).

    found: the fit to the table's own columns with the same options, if already computed.
    """
    frame = load_table(table)
    chosen = constrained(get_law(law), options.pop("fix", None), options.pop("tie", None))
    inputs = (x or "C",) if chosen.of_one_variable else (*chosen.inputs, *(("C",) if "C" in frame.columns else ()))
    choices = [
        [column for column in CONVENTIONS if column.partition("_")[0] == name and column in frame.columns] or [name]
        for name in inputs
    ]
    # A law in N and D does not depend on C, unless rows are selected by it.
    telling = len(inputs) if options.get("where") else len(chosen.inputs)
    known = {}
    if found is not None:
        own = tuple(found.engine.points.columns.values())
        known[(*own, *inputs[len(own) :])[:telling]] = _world(found)
    worlds = []
    for columns in product(*choices):
        named: dict[str, str] = dict(zip(inputs, columns, strict=True))
        if columns[:telling] not in known:
            world = frame.assign(**{name: frame[column] for name, column in named.items() if name != column})
            known[columns[:telling]] = _attempt(world, chosen, inputs[0] if chosen.of_one_variable else None, options)
        worlds.append(replace(known[columns[:telling]], columns=named))
    return Multiverse(chosen.name, tuple(worlds))


def _attempt(frame: pd.DataFrame, law: Law, x: str | None, options: dict[str, Any]) -> World:
    try:
        return _world(fit(frame, law, x=x, **options))
    except Refusal as refusal:
        return World({}, {}, {}, None, None, None, "refused", str(refusal))


def _world(found: Fit) -> World:
    """Return the world of a fit, without its columns' names."""
    share = found.allocation
    return World(
        {},
        found.params,
        found.intervals,
        share.N_exponent if share else None,
        share.N_exponent_interval if share else None,
        found.objective.value,
        found.certificate.status,
        "; ".join(found.certificate.reasons),
    )
