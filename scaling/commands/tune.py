"""`scaling tune`: find the learning rate (or another key) for each width before the sweep is run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scaling.commands.options import (
    OVERRIDES,
    json_option,
    only_overrides,
    overrides,
    recipe_option,
    terminal,
    write_json,
)
from scaling.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from scaling.dispatch.launcher import Settings
    from scaling.plan.plan import Plan
    from scaling.plan.planned import PlannedRun
    from scaling.tune import Best, Space

EPILOG = """\b
Example:
  scaling tune sweep=quickstart train.budget=2e9 seed=0 --range 4e-3 6.4e-2 --tries 8
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@recipe_option
@click.option("--key", default="optim.lr", show_default=True, help="The config key to tune.")
@click.option("--range", "bounds", nargs=2, type=float, required=True, metavar="LOW HIGH", help="On a log scale.")
@click.option("--by", default="model.width", show_default=True, help="Tune anew for each value of this key.")
@click.option("--tries", default=8, show_default=True, help="Values to try for each.")
@click.option("--at-once", default=4, show_default=True, help="Tried together; the next ones learn from them.")
@click.option("--seed", "study_seed", default=0, show_default=True, help="Of the proposals.")
@json_option
def tune(
    arguments: tuple[str, ...],
    multirun: bool,
    key: str,
    bounds: tuple[float, float],
    by: str,
    tries: int,
    at_once: int,
    study_seed: int,
    json_path: str | None,
) -> None:
    """Tune one key for each width on the validation loss, with Optuna, and say the rule that goes into `set:`.

    What is tried is trained by the launcher like any run and kept, and the same command goes on. Narrow the sweep to
    one budget and few seeds first.
    """

    from scaling.compose.session import session
    from scaling.plan.expand import expand
    from scaling.tune import Space, rule

    low, high = bounds
    if not 0 < low < high:
        raise UserError(f"found --range {low:g} {high:g}; wanted two positive numbers, the smaller first; change it")
    with session() as loader:
        plan = expand(loader, only_overrides(arguments))
    plan = dataclasses.replace(plan, name=f"{plan.name}-tune")
    space = Space(key, low, high, by)
    rounds = [min(at_once, tries - start) for start in range(0, tries, max(1, at_once))]
    found = _search(plan, space, rounds=rounds, seed=study_seed, console=terminal(stderr=json_path == "-"))
    if json_path is not None:
        content = {"key": key, "by": by, "best": [dataclasses.asdict(entry) for entry in found]}
        write_json({**content, "rule": rule(found, space)}, json_path)
    if json_path != "-":
        for entry in found:
            click.echo(
                f"{by}={entry.by}: {key}={entry.value:g}, validation loss {entry.val_loss:.4f}, {entry.tried} tried"
            )
        click.echo(f"set: {{{rule(found, space)}}}" if rule(found, space) else "too few sizes for a rule")


def _search(plan: Plan, space: Space, *, rounds: Sequence[int], seed: int, console: Console) -> list[Best]:
    from scaling.config import read_group
    from scaling.dispatch.control import stale_in
    from scaling.dispatch.launcher import launcher_of
    from scaling.dispatch.states.stale import refuse_stale
    from scaling.folders import check_writable
    from scaling.tune import best, group_runs, open_studies, propose, tell

    settings = read_group("launcher", plan.launcher)
    check_writable(plan.folder)
    launcher_of(settings).check([run.config for run in plan.runs])
    refuse_stale(stale_in(plan.folder), ways_out="take another name=NAME, or data.version=2 (or model.version=2)")
    groups = group_runs(plan.runs, space.by)
    studies = open_studies(plan.folder, space, groups, seed=seed)
    for number, size in enumerate(rounds, start=1):
        proposals = [proposal for _ in range(size) for proposal in propose(studies, groups, space)]
        console.print(f"round {number} of {len(rounds)}: {len(proposals)} values to try")
        _train(plan, [run for proposal in proposals for run in proposal.runs], settings, console)
        for proposal in proposals:
            tell(studies[proposal.by], proposal, plan.folder)
    return best(studies, space)


def _train(plan: Plan, runs: list[PlannedRun], settings: Settings, console: Console) -> None:
    from scaling.commands.settling import settle
    from scaling.dispatch.launcher import launcher_of
    from scaling.dispatch.order import order_of
    from scaling.forecast.estimate import forecast_all, forecast_rows
    from scaling.plan.files import write_plan

    forecasts = forecast_all(runs, threads=settings.threads)
    write_plan(dataclasses.replace(plan, runs=tuple(runs)), forecast_rows(forecasts), join=True)
    again = shlex.join(["scaling", "tune", *plan.arguments])
    order = order_of(plan.folder, runs, forecasts=forecasts, limits=plan.limit)
    settle(order, launcher_of(settings), console=console, again=again, wait=True).conclude()
