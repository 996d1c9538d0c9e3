"""`scaling pause | resume`: pause a sweep, and continue it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import answer, as_typed, json_option, sweep_folder, trust_option
from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.folders import SweepFolder
    from scaling.plan.plan import Plan


@click.command(epilog="\b\nExample:\n  scaling pause results/mine")
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@json_option
def pause(folder: str, json_path: str | None) -> None:
    """Pause a sweep, here and on SLURM: running runs write a checkpoint and stop, and no run is started.

    Jobs that wait in SLURM's queue keep their place. A job that starts during the pause ends at once.
    """
    from scaling.dispatch.states import paused
    from scaling.dispatch.states.read_state import read_status

    sweep = sweep_folder(folder)
    path, new = as_typed(sweep.path), paused.pause(sweep)
    status = read_status(sweep)
    running = status.counts["running"]
    now = "paused" if new else f"was {paused.paused_words(sweep)} before"
    stop = f"; {running:,} running runs write a checkpoint and stop" if running else ""
    answer(
        {"paused": True, "new": new, "running": running, "settled": status.settled},
        json_path,
        f"{path} {now}, {status.settled:,}/{len(status.runs):,} settled{stop}; scaling resume {path} continues",
    )


@click.command(epilog="\b\nExample:\n  scaling resume results/mine")
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@click.option("--wait", is_flag=True, help="On SLURM: wait until all runs are settled.")
@trust_option
@json_option
def resume(folder: str, wait: bool, json_path: str | None) -> None:
    """Continue a paused sweep with the `scaling run` that planned it. Runs continue from their checkpoints."""
    from scaling.commands.run import execute
    from scaling.dispatch.states.paused import lift_pause, paused_words

    sweep = sweep_folder(folder)
    path = as_typed(sweep.path)
    if not paused_words(sweep):
        raise UserError(f"found {path} not paused; wanted a paused sweep; `scaling run` continues others")
    lift_pause(sweep)
    plan = _plan_again(sweep)
    if plan is not None:
        execute(plan, wait=wait, json_path=json_path)
        return
    text = f"{path} is no longer paused; repeat the command that started it, in its directory"
    answer({"paused": False, "started": False}, json_path, text)


def _plan_again(sweep: SweepFolder) -> Plan | None:
    """Plan the sweep by the command saved beside its plan; None if that gives another sweep or folder."""
    from scaling.compose.session import session
    from scaling.plan.expand import expand
    from scaling.plan.files import read_arguments
    from scaling.security.rights import check_own_file

    arguments = read_arguments(sweep)
    if arguments is None:
        return None
    try:
        check_own_file(sweep.sweep)
        with session() as loader:
            plan = expand(loader, arguments)
    except UserError as error:
        raise UserError(f"{as_typed(sweep.path)} is no longer paused, but was not started: {error}") from error
    return plan if plan.folder.path.resolve() == sweep.path.resolve() else None
