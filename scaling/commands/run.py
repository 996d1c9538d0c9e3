"""`scaling run`: from a plan to settled runs."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

import click

from scaling.commands.options import OVERRIDES, json_option, only_overrides, overrides, write_json
from scaling.errors import UserError
from scaling.plan import Plan

EPILOG = """\b
Examples:
  scaling run sweep=quickstart
  scaling run sweep=quickstart launcher=slurm
  scaling run model.width=64 train.examples=1e5
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@json_option
def run(arguments: tuple[str, ...], multirun: bool, json_path: str | None) -> None:
    """Train what is not finished: a sweep, a comma list of values, or one run here and now.

    The same command again goes on where it stopped: finished runs are skipped, half-done ones continue from their
    checkpoint, failed ones are tried again.
    """
    from scaling.compose import session
    from scaling.expansion import expand

    with session() as loader:
        expanded = expand(loader, only_overrides(arguments))
    execute(expanded, json_path=json_path)


def execute(plan: Plan, *, json_path: str | None = None) -> None:
    """Write the plan, train what is not settled and say how it ended; exit with 1 where runs failed."""
    from rich.console import Console

    from scaling.config import read_group
    from scaling.dispatch.local import check_writable
    from scaling.dispatch.show import print_outcome
    from scaling.outlook import outlook
    from scaling.plan_files import write_plan
    from scaling.plan_view import summary

    console = Console(stderr=json_path == "-")
    launcher = read_group("launcher", plan.launcher)
    look = outlook(plan, launcher)
    look.check_limit()
    check_writable(plan.folder)
    check_devices(plan)
    check_data(plan)
    extra = write_plan(plan, look.forecasts)
    if not plan.single:
        for line in summary(look):
            console.print(line, highlight=False, soft_wrap=True)
    if extra:
        console.print(f"{extra:,} runs of an earlier plan are no longer in it; they stay in {plan.results}/runs")
    outcome = _dispatch(plan, launcher, look, console)
    print_outcome(console, outcome, again=shlex.join(["scaling", "run", *plan.arguments]))
    if plan.single:
        _print_result(plan, console)
    elif not outcome.missing:
        console.print(f"look at it: scaling report {plan.folder.path}", highlight=False, soft_wrap=True)
    if json_path is not None:
        write_json(outcome.to_dict(), json_path)
    if outcome.exit_code:
        raise click.exceptions.Exit(outcome.exit_code)


def _print_result(plan: Plan, console: Any) -> None:
    [run] = plan.runs
    record = plan.folder.run(run.run_id).record
    if record.is_file():
        last = json.loads(record.read_text())["points"][-1]
        names = [name for name in ("loss", "error", "val_loss", "val_error") if last.get(name) is not None]
        shown = ", ".join(f"{name} {last[name]:.4g}" for name in names)
        facts = f"N {run.quantities.counts.N:,}, D {run.quantities.D:,}, C {run.quantities.C:.3e} FLOPs"
        console.print(f"{shown} ({facts}; {record})", highlight=False, soft_wrap=True)


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


def _dispatch(plan: Plan, launcher: Any, look: Any, console: Any) -> Any:
    from scaling.dispatch.devices import thread_environment
    from scaling.dispatch.local import run_local
    from scaling.dispatch.show import view
    from scaling.dispatch.single import run_single

    if plan.single:
        os.environ.update(thread_environment(launcher.threads))  # before torch starts: it reads them once
        return run_single(plan.folder, plan.runs[0], launcher)
    return run_local(
        plan.folder,
        plan.runs,
        launcher,
        limits=plan.limit,
        forecast={run_id: forecast.seconds for run_id, forecast in look.forecasts.items()},
        view=view(console),
    )
