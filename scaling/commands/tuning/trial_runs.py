"""Plan the runs that try a value of a tuned key, as the command line would plan them with that value.

Keys that depend on it, by `${…}` or by a rule of `set:`, follow it. If none does, changing the key in each run gives
the same runs faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scaling.compose.session import session
from scaling.errors import UserError
from scaling.plan.expand import expand
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun, as_overrides
from scaling.tune import Proposal, label, with_keys

Cell = frozenset[tuple[str, str]]  # keys and values that identify a run, without the tuned ones
PlanWith = Callable[[Mapping[str, Any]], Mapping[Cell, PlannedRun]]


class TrialPlanner:
    """Plans proposals for a plan's runs; keys: those that are tuned."""

    def __init__(self, plan: Plan, keys: Sequence[str]) -> None:
        self._plan, self._keys = plan, frozenset(keys)
        self._follows: bool | None = None  # whether any key depends on the tuned ones; determined with the first values

    def planned(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Return the proposals with their planned runs; UserError if the sweep has no such run.

        Proposals beyond the requested range may have no runs.
        """
        able = [one for one in proposals if one.runs]
        if not able:
            return list(proposals)
        with session() as loader:
            plans: dict[str, dict[Cell, PlannedRun]] = {}

            def plan_with(values: Mapping[str, Any]) -> dict[Cell, PlannedRun]:
                overrides = as_overrides(values)
                if str(overrides) not in plans:
                    found = expand(loader, [*self._plan.arguments, *overrides])
                    plans[str(overrides)] = {self._cell(run): run for run in found.runs}
                return plans[str(overrides)]

            if self._follows is None:
                self._follows = self._depends(plan_with, able[0].values)
            return [self._with(one, plan_with) if self._follows else one for one in proposals]

    def _depends(self, plan_with: PlanWith, values: Mapping[str, Any]) -> bool:
        """Return whether planned runs differ from those with only the tuned keys changed."""
        try:
            found = plan_with(values)
        except UserError:
            return True
        for run in self._plan.runs:
            other = found.get(self._cell(run))
            if other is None or other.run_id != with_keys(run, values).run_id:
                return True
        return False

    def _with(self, one: Proposal, plan_with: PlanWith) -> Proposal:
        try:
            found, runs = plan_with(one.values), []
        except UserError:
            if one.beyond:
                return replace(one, runs=())
            raise
        for run in one.runs:
            other = found.get(self._cell(run))
            if other is None and one.beyond:
                return replace(one, runs=())
            if other is None:
                tried = ", ".join(as_overrides(one.values))
                raise UserError(
                    f"found no run of the sweep with {tried} at {label(one.group)}; wanted each value to be possible; "
                    f"change --range, or the sweep's where:"
                )
            runs.append(replace(other, overrides={**other.overrides, **one.values}))
        return replace(one, runs=tuple(runs))

    def _cell(self, run: PlannedRun) -> Cell:
        return frozenset((key, str(value)) for key, value in run.overrides.items() if key not in self._keys)
