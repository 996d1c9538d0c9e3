"""Restore runs of earlier rounds that a sweep's plan lacks, because an older or edited file was run since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.commands.rounds.candidates import overrides_of
from scaling.commands.rounds.round_files import own_rounds, restore_sweep_file, spent
from scaling.commands.rounds.suggest import Goal, price_of
from scaling.commands.rounds.sweep_file import sweep_text, write_sweep
from scaling.errors import UserError
from scaling.numbers import many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydra.core.config_loader import ConfigLoader

    from scaling.folders import SweepFolder
    from scaling.plan.plan import Plan
    from scaling.terminal_table import Terminal


def restore_runs(folder: SweepFolder, goal: Goal, console: Terminal) -> None:
    """Add such runs to the sweep again, since they would be paid for twice; UserError if that is impossible."""
    from scaling.commands.forecast_runs import forecaster
    from scaling.compose.session import session
    from scaling.forecast.estimate import Forecasts
    from scaling.plan.expand import expand
    from scaling.plan.files import write_plan

    own = own_rounds(folder)
    if not own:
        return
    restore_sweep_file(folder)
    with session() as loader:
        plan = expand(loader, overrides_of(folder))
        planned = {run.run_id for run in plan.runs}
        lost = {run_id: keys for one in own for run_id, keys in one.cells.items() if run_id not in planned}
        if not lost:
            return
        left = goal.limit - spent([one for one in own if not lost.keys() & one.cells.keys()], goal.unit)
        write_sweep(Path(own[-1].facts["sweep"]), _text(loader, plan, lost, goal.unit, left))
        restored = expand(loader, own[-1].overrides(folder))
    others = lost.keys() - {run.run_id for run in restored.runs}
    if others:
        raise UserError(
            f"found {len(others)} of {len(lost)} runs of earlier rounds that would now be different runs, since "
            f"{folder.path} was last run with other settings; wanted the sweep that they were chosen for; run it with "
            f"its former settings, or give the changed sweep another name=NAME"
        )
    write_plan(restored, Forecasts(forecaster(restored)(restored.runs)).rows())
    console.say(f"{many(len(lost), 'run')} of earlier rounds, missing in the plan, added again")


def _text(loader: ConfigLoader, plan: Plan, lost: Mapping[str, Mapping[str, Any]], unit: str, left: float) -> str:
    """Return the sweep file of a plan with the lost runs; left: of the limit, for unsettled ones."""
    from scaling.commands.forecast_runs import forecaster
    from scaling.plan.request import read_request

    forecasts = forecaster(plan)
    return sweep_text(
        plan,
        read_request(loader, plan.arguments),
        list(lost.values()),
        limit={unit: price_of(plan, unit, forecasts) + left},
        head=[f"{plan.name}, and the runs of its rounds"],
    )
