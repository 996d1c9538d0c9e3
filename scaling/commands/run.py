"""`scaling run`: from a plan to settled runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from scaling.commands.options import (
    OVERRIDES,
    as_typed,
    json_option,
    only_overrides,
    overrides,
    recipe_option,
    terminal,
    write_json,
)
from scaling.errors import UserError
from scaling.folders import exists
from scaling.numbers import many

if TYPE_CHECKING:
    from scaling.commands.plan_forecast import PlanForecast
    from scaling.commands.settling import Ended
    from scaling.dispatch.launcher import Launcher
    from scaling.dispatch.order import Order
    from scaling.folders import SweepFolder
    from scaling.plan.plan import Plan
    from scaling.terminal_table import Terminal

REDO = {"all": ("lacking", "changed", "stale"), "stale": ("changed", "stale"), "milestones": ("lacking",)}
EPILOG = """\b
Examples:
  scaling run sweep=quickstart
  scaling run sweep=quickstart launcher=slurm launcher.partition=gpu
  scaling run model.width=64 train.examples=1e5
"""


class WithRedo(click.Command):
    """A command whose --redo may be given without a value, also before overrides."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the default value to a --redo without one."""
        pairs = zip(args, [*args[1:], ""], strict=False)
        return super().parse_args(ctx, [f"{a}=all" if a == "--redo" and b not in REDO else a for a, b in pairs])


@click.command(cls=WithRedo, epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@recipe_option
@click.option("--wait", is_flag=True, help="On SLURM: wait until all runs are settled.")
@click.option("--dry-run", is_flag=True, help="Print the plan and, on SLURM, the sbatch files; start nothing.")
@click.option(
    "--redo",
    metavar="[stale|milestones]",
    help="Train settled runs again: those trained on other data or code (stale), those without a milestone "
    "that you now ask for (milestones), or both (--redo alone).",
)
@click.option("--keep-stale", is_flag=True, help="Keep runs that were trained on other data or code.")
@json_option
def run(
    arguments: tuple[str, ...], wait: bool, dry_run: bool, redo: str | None, keep_stale: bool, json_path: str | None
) -> None:
    """Train what is not finished: a sweep, a comma list of values, or a single run.

    The same command again continues: finished runs are skipped, interrupted ones continue from their checkpoint, and
    failed ones are tried again.
    """
    from scaling.compose.session import session
    from scaling.plan.expand import expand

    if redo is not None and redo not in REDO:
        raise UserError(f"found --redo {redo}; wanted --redo stale, --redo milestones, or --redo alone")
    with session() as loader:
        plan = expand(loader, only_overrides(arguments))
    if dry_run:
        rehearse_plan(plan, json_path=json_path)
        return
    execute(plan, wait=wait, redo=redo, keep_stale=keep_stale, json_path=json_path)


def execute(
    plan: Plan, *, wait: bool = False, redo: str | None = None, keep_stale: bool = False, json_path: str | None = None
) -> None:
    """Write the plan, train the unsettled runs and print the outcome; exit with 1 if runs failed.

    redo: which settled runs are trained again (a key of REDO); keep_stale: leave those trained on other data or code.
    """
    from scaling.commands.plan_view import summary
    from scaling.commands.settling import settle
    from scaling.dispatch.launcher import launcher_of
    from scaling.dispatch.states.paused import refuse_paused
    from scaling.security.rights import shared_as

    console = terminal(stderr=json_path == "-")
    refuse_paused(plan.folder, path=as_typed(plan.folder.path))
    launcher = launcher_of(plan.launcher)
    if not (plan.single or exists(plan.folder.plan)):  # of a known sweep all runs may be settled
        with shared_as(plan.results):
            launcher.prepare()
    forecast = _checked(plan, launcher, redo=redo, keep_stale=keep_stale)
    _write(plan, forecast, console)
    if not plan.single:
        console.say(*summary(forecast))
    again = shlex.join(["scaling", "run", *plan.arguments])
    with shared_as(plan.results):
        order = replace(_order(forecast), mirror=plan.mirror, on_end=plan.on_end)
        ended = settle(order, launcher, console=console, again=again, wait=wait)
    if plan.single and ended.settled_here:
        ended = _with_result(ended, plan, console)
    elif ended.settled_here and not ended.exit_code:
        console.say(f"next: scaling report {as_typed(plan.folder.path)}")
    ended.conclude(json_path)


def _checked(plan: Plan, launcher: Launcher, *, redo: str | None, keep_stale: bool) -> PlanForecast:
    """Forecast a plan and check all that can refuse it; rename the records of runs to train again (redo)."""
    from scaling.commands.mirror import check_mirror
    from scaling.commands.plan_forecast import forecast_plan
    from scaling.dispatch.states.stale import refuse_stale
    from scaling.folders import check_writable
    from scaling.plan.graph import check_parents

    check_mirror(plan.mirror)
    forecast = forecast_plan(plan)
    forecast.check_limit()
    if redo is None and not keep_stale:
        refuse_stale(forecast.stale)
    check_writable(plan.folder, group=plan.group)
    launcher.check([run.config for run in plan.runs])
    check_parents(plan.runs, plan.results)
    if redo is not None:  # records are renamed only after all other checks
        forecast = _train_again(forecast, REDO[redo])
        refuse_stale({} if keep_stale else forecast.stale)
    return forecast


def _write(plan: Plan, forecast: PlanForecast, console: Terminal) -> None:
    """Write the plan, and print which runs of an earlier one it no longer has."""
    from scaling.plan.files import write_plan
    from scaling.security.rights import shared_as

    with shared_as(plan.results):
        extra = write_plan(plan, forecast.forecasts.rows(), join=plan.single)
    if extra:
        console.say(f"not in this plan: {many(extra, 'run')} of an earlier one, kept in {plan.results}/runs")
        _print_still_queued(plan.folder, console)


def _print_still_queued(folder: SweepFolder, console: Terminal) -> None:
    """Print which runs are still queued although the sweep no longer has them, and how to stop them."""
    from scaling.dispatch.control.cancel import queued_outside_plan

    queued = queued_outside_plan(folder)
    if queued:
        stop = shlex.join(["scaling", "cancel", str(folder.path), *queued])
        console.say(f"{len(queued):,} of them are queued or training all the same; to stop that: {stop}")


def rehearse_plan(plan: Plan, *, json_path: str | None = None) -> None:
    """Print the plan and what would be submitted, without writing or submitting anything."""
    from scaling.commands.plan_forecast import forecast_plan
    from scaling.commands.plan_view import show_plan
    from scaling.dispatch.launcher import launcher_of

    forecast = forecast_plan(plan)
    if json_path != "-":
        show_plan(forecast)
    forecast.check_limit()
    sheets = launcher_of(plan.launcher).rehearse(_order(forecast))
    if json_path is not None:
        write_json({**forecast.to_dict(), "sbatch": [sheet.text for sheet in sheets]}, json_path)
    if json_path != "-":
        for sheet in sheets:
            click.echo(f"\n== {sheet.title}\n{sheet.text}")


def _order(forecast: PlanForecast) -> Order:
    from scaling.dispatch.order import order_of

    plan = forecast.plan
    return order_of(
        plan.folder,
        plan.runs,
        forecasts=forecast.forecasts,
        limits=plan.limit,
        settled=forecast.settled,
        single=plan.single,
    )


def _train_again(forecast: PlanForecast, what: Sequence[str]) -> PlanForecast:
    """Rename the records of runs that lack milestones (lacking), or have another model (changed), data or code (stale).

    Return the plan's forecast without these records.
    """
    from scaling.commands.plan_forecast import forecast_plan
    from scaling.dispatch.limits import check_again
    from scaling.dispatch.states.settled import supersede

    found = {
        "lacking": [run.run_id for run in forecast.lacking],
        "changed": [run.run_id for run in forecast.changed],
        "stale": list(forecast.stale),
    }
    again = {run_id for name in what for run_id in found[name]}
    check_again(_order(forecast), again)
    for run_id in again:
        supersede(forecast.plan.folder.run(run_id))
    click.echo(
        f"{len(again):,} settled runs are trained again for their milestones, or their changed model, data or code",
        err=True,
    )
    return forecast_plan(forecast.plan)


def _with_result(ended: Ended, plan: Plan, console: Terminal) -> Ended:
    """Print the result of a single run, and add it to the JSON."""
    from scaling.numbers import flops, measured
    from scaling.record import read_record

    [run] = plan.runs
    files = plan.folder.run(run.run_id)
    record = None if ended.exit_code else read_record(files)
    if record is None:
        return replace(ended, facts={**ended.facts, "run_id": run.run_id, "point": {}})
    last = asdict(record.points[-1])
    words = [word for word in (record.status, *record.flags) if word != "finished"]
    names = [name for name in ("loss", "error", "val_loss", "val_error") if last.get(name) is not None]
    shown = ", ".join(words + [f"{name} {measured(last[name])}" for name in names])
    facts = f"N {run.quantities.counts.N:,}, D {run.quantities.D:,}, C {flops(run.quantities.C)} FLOPs"
    console.say(f"{shown} ({facts}; {files.record})")
    return replace(ended, facts={**ended.facts, "run_id": run.run_id, "point": last})
