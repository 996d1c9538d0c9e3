"""`scaling run`: from a plan to settled runs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.options import OVERRIDES, json_option, only_overrides, overrides, write_json
from scaling.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from scaling.commands.plan_forecast import Outlook
    from scaling.commands.settling import Ended
    from scaling.dispatch.launchers import Slurm
    from scaling.dispatch.slurm.launch import Sheet
    from scaling.plan.plan import Plan

EPILOG = """\b
Examples:
  scaling run sweep=quickstart
  scaling run sweep=quickstart launcher=slurm launcher.partition=gpu
  scaling run model.width=64 train.examples=1e5
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@click.option("--wait", is_flag=True, help="On SLURM: stay and look on until all is settled.")
@click.option("--dry-run", is_flag=True, help="Print the plan and, on SLURM, the sbatch files; start nothing.")
@click.option("--redo", is_flag=True, help="Train settled runs again that lack a milestone which is asked for now.")
@json_option
def run(
    arguments: tuple[str, ...], multirun: bool, wait: bool, dry_run: bool, redo: bool, json_path: str | None
) -> None:
    """Train what is not finished: a sweep, a comma list of values, or one run here and now.

    The same command again goes on where it stopped: finished runs are skipped, half-done ones continue from their
    checkpoint, failed ones are tried again.
    """
    from scaling.compose.session import session
    from scaling.plan.expand import expand

    with session() as loader:
        plan = expand(loader, only_overrides(arguments))
    if dry_run:
        rehearse_plan(plan, json_path=json_path)
        return
    if redo:
        from scaling.dispatch.states.settled import redo as put_aside

        click.echo(f"{put_aside(plan):,} settled runs are trained again for their milestones", err=True)
    execute(plan, wait=wait, json_path=json_path)


def execute(plan: Plan, *, wait: bool = False, json_path: str | None = None) -> None:
    """Write the plan, train what is not settled and say how it ended; exit with 1 where runs failed."""
    from rich.console import Console

    from scaling.commands.plan_forecast import outlook
    from scaling.commands.plan_view import summary
    from scaling.commands.settling import settle_runs
    from scaling.config import read_group
    from scaling.dispatch.launchers import Local
    from scaling.folders import check_writable
    from scaling.forecast.estimate import forecast_rows
    from scaling.plan.files import write_plan
    from scaling.plan.graph import check_parents

    console = Console(stderr=json_path == "-")
    launcher = read_group("launcher", plan.launcher)
    look = outlook(plan, launcher)
    look.check_limit()
    check_writable(plan.folder)
    if isinstance(launcher, Local):
        check_devices(plan)
        check_data(plan)
    check_parents(plan.runs, plan.results)
    extra = write_plan(plan, forecast_rows(look.forecasts), join=plan.single)
    if extra:
        console.print(f"{extra:,} runs of an earlier plan are no longer in it; they stay in {plan.results}/runs")
    again = shlex.join(["scaling", "run", *plan.arguments])
    if plan.single and isinstance(launcher, Local):
        ended = _one_run(plan, launcher, console, again=again)
    else:
        for line in summary(look):
            console.print(line, highlight=False, soft_wrap=True)
        ended = settle_runs(
            plan.folder,
            plan.runs,
            launcher,
            console=console,
            again=again,
            limits=plan.limit,
            forecasts=look.forecasts,
            wait=wait,
        )
        if isinstance(launcher, Local) and not ended.exit_code:
            console.print(f"look at it: scaling report {plan.folder.path}", highlight=False, soft_wrap=True)
    ended.conclude(json_path)


def rehearse_plan(plan: Plan, *, json_path: str | None = None) -> None:
    """Print the plan and what would be submitted; touch nothing."""
    from scaling.commands.plan_forecast import outlook
    from scaling.commands.plan_view import show_plan
    from scaling.config import read_group
    from scaling.dispatch.launchers import Slurm

    launcher = read_group("launcher", plan.launcher)
    look = outlook(plan, launcher)
    if json_path != "-":
        show_plan(look)
    look.check_limit()
    sheets = _sheets(plan, launcher, look) if isinstance(launcher, Slurm) else []
    if json_path is not None:
        write_json({**look.to_dict(), "sbatch": [sheet.text for sheet in sheets]}, json_path)
    if json_path != "-":
        _print_sheets(sheets)


def _sheets(plan: Plan, launcher: Slurm, look: Outlook) -> Sequence[Sheet]:
    from scaling.dispatch.slurm.launch import rehearse

    seconds = {run_id: forecast.seconds for run_id, forecast in look.forecasts.items()}
    memory = {run_id: float(forecast.memory_bytes) for run_id, forecast in look.forecasts.items()}
    return rehearse(plan.folder, plan.runs, launcher, limits=plan.limit, forecast=seconds, memory=memory)


def _print_sheets(sheets: Sequence[Sheet]) -> None:
    for sheet in sheets:
        hand = sheet.hand
        size = f"{hand.jobs} jobs of {hand.minutes:g} min and {hand.memory_gb:g} GB"
        click.echo(f"\n== {hand.group}: {hand.runs:,} runs, {hand.seconds / 3600:.3g} h forecast, {size}\n{sheet.text}")


def _one_run(plan: Plan, launcher: Any, console: Console, *, again: str) -> Ended:
    from scaling.commands.settling import Ended
    from scaling.devices import thread_environment
    from scaling.dispatch.show import print_outcome
    from scaling.dispatch.single import run_single

    os.environ.update(thread_environment(launcher.threads))  # before torch starts: it reads them once
    [run] = plan.runs
    outcome = run_single(plan.folder, run, launcher)
    print_outcome(console, outcome, again=again)
    record = plan.folder.run(run.run_id).record
    if outcome.exit_code or not record.is_file():
        return Ended({**outcome.to_dict(), "run_id": run.run_id, "point": {}}, outcome.exit_code)
    settled = json.loads(record.read_text())
    last = settled["points"][-1]
    said = [word for word in (settled["status"], *settled["flags"]) if word != "finished"]
    names = [name for name in ("loss", "error", "val_loss", "val_error") if last.get(name) is not None]
    shown = ", ".join(said + [f"{name} {last[name]:.4g}" for name in names])
    facts = f"N {run.quantities.counts.N:,}, D {run.quantities.D:,}, C {run.quantities.C:.3e} FLOPs"
    console.print(f"{shown} ({facts}; {record})", highlight=False, soft_wrap=True)
    return Ended({**outcome.to_dict(), "run_id": run.run_id, "point": last})


def check_devices(plan: Plan) -> None:
    """Look for the devices that are named before anything is started; UserError where one is not here."""
    for device in {run.config.train.device for run in plan.runs} - {"auto", "cpu"}:
        from scaling.train.device import find_device

        find_device(device)


def check_data(plan: Plan) -> None:
    """Look for the data before anything is started; UserError says what is missing and what to do."""
    for data in {run.config.data for run in plan.runs}:
        source = data.source()
        if not source.ready:
            raise UserError(f"found no {data.name} at {source.where}; wanted its data; {source.advice}")
    for stage in {run.config.stage for run in plan.runs}:
        for file in stage.files():
            if not file.is_file():
                raise UserError(f"found no file {file}, which stage={stage.name} reads; put it there")
