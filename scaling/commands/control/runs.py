"""`scaling cancel | retry | logs`: stop runs, try them again, read their logs."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.control.choice import RUNS, WHERE, chosen, the_one
from scaling.commands.options import answer, as_typed, json_option, sweep_folder, terminal
from scaling.errors import UserError, printable
from scaling.numbers import many


@click.command(epilog="\b\nExamples:\n  scaling cancel results/mine\n  scaling cancel results/mine model.width=64")
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@RUNS
@WHERE
@json_option
def cancel(folder: str, words: tuple[str, ...], where: tuple[str, ...], json_path: str | None) -> None:
    """Stop a sweep or some of its runs, here and on SLURM. Checkpoints stay; nothing restarts by itself."""
    from scaling.commands.rounds.round_files import one_at_a_time
    from scaling.dispatch.control.cancel import cancel as stop
    from scaling.dispatch.states.settled import SettledRuns

    sweep = sweep_folder(folder)
    runs = chosen(sweep, words, where)
    with one_at_a_time(sweep, "changing"):
        cancelled = stop(sweep, runs=runs)
    idle = cancelled.runs is None and not cancelled.dispatches
    what = "all its runs" if cancelled.runs is None else many(cancelled.runs, "run")
    again = "the same `scaling run`" if cancelled.runs is None else "`scaling retry` with their names"
    lines = [
        "found no command or job of yours that trains runs of this sweep: nothing was cancelled"
        if idle
        else f"cancelled {what}: asked {many(len(cancelled.dispatches), 'command')} to stop, "
        f"ended {many(len(cancelled.jobs), 'job')}; continue with {again}",
        *(f"not cancelled: dispatch {other}, who must cancel it" for other in cancelled.others),
    ]
    if cancelled.still:
        lines.append(
            f"not cancelled: {', '.join(cancelled.still)}, which train its runs for another sweep, or for a "
            f"dispatch that cannot be read; `scancel` ends them"
        )
    settled = SettledRuns(sweep)
    if done := sum(settled.get(run_id) is not None for run_id in runs or ()):
        lines.append(f"settled before, and kept: {many(done, 'run')}")
    answer(asdict(cancelled), json_path, *map(printable, lines))


@click.command(epilog="\b\nExamples:\n  scaling retry results/mine\n  scaling retry results/mine --where 'width > 64'")
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@RUNS
@click.option("--failed", is_flag=True, help="The failed runs (the default if no runs are named).")
@WHERE
@click.option("--wait", is_flag=True, help="On SLURM: wait until all runs are settled.")
@json_option
def retry(
    folder: str, words: tuple[str, ...], failed: bool, where: tuple[str, ...], wait: bool, json_path: str | None
) -> None:
    """Try failed or cancelled runs again, with the launcher that they used last."""
    from scaling.commands.rounds.round_files import one_at_a_time
    from scaling.commands.settling import settle
    from scaling.config import read_part
    from scaling.dispatch.control.retry import entries_to_retry, runs_to_retry, stale_in
    from scaling.dispatch.dispatches import last_dispatch
    from scaling.dispatch.launcher import launcher_of, settings_class
    from scaling.dispatch.order import order_of
    from scaling.dispatch.states.cancelled import change_cancelled
    from scaling.dispatch.states.paused import refuse_paused
    from scaling.dispatch.states.read_state import read_status
    from scaling.dispatch.states.stale import refuse_stale
    from scaling.forecast.estimate import Forecasts, forecast_all
    from scaling.security.trust import trusting

    sweep = sweep_folder(folder)
    refuse_paused(sweep, path=as_typed(sweep.path))
    wanted = runs_to_retry(read_status(sweep), runs=None if failed else chosen(sweep, words, where))
    if not wanted:
        raise UserError(
            f"found no run to try again in {folder}; wanted failed runs, or the names of cancelled ones; "
            f"see `scaling status`"
        )
    refuse_stale(stale_in(sweep), ways_out="`scaling run` shows the choices")
    entries, last = entries_to_retry(sweep, wanted), last_dispatch(sweep)
    with trusting(True):  # queue and dispatch are the user's own, and were checked when they were planned
        runs = [entry.planned_run() for entry in entries]
        launcher = launcher_of(read_part(settings_class(last), last.launcher, where="launcher"))
        with one_at_a_time(sweep, "changing"):
            change_cancelled(sweep, remove=wanted)
        order = order_of(sweep, runs, forecasts=Forecasts(forecast_all(runs)), limits=last.limits)
        again = shlex.join(["scaling", "retry", folder])
        settle(order, launcher, console=terminal(stderr=json_path == "-"), again=again, wait=wait).conclude(json_path)


LOGS = """\b
Examples:
  scaling logs results/mine 3f6ea1
  scaling logs -f results/mine model.width=64 seed=1
"""


@click.command(epilog=LOGS)
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@click.argument("run", nargs=-1, required=True, metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the run is settled.")
def logs(folder: str, run: tuple[str, ...], follow: bool) -> None:
    """Show a run's attempts with tracebacks, its evaluations, and the end of its job's log.

    Name a run by its id, the first digits of its id, or overrides that match it alone.
    """
    from scaling.dispatch.control.logs import follow_log, read_log

    sweep = sweep_folder(folder)
    shown = False
    for line in (follow_log if follow else read_log)(sweep, the_one(sweep, run)):
        click.echo(printable(line))
        shown = True
    if not shown:
        click.echo("found neither an attempt nor a log of it: it was trained elsewhere, or they were removed")
