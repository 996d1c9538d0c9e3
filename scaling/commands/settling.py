"""From an order to settled runs: give it to a launcher, watch it if asked, and report the outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.options import as_typed, write_json

if TYPE_CHECKING:
    from scaling.dispatch.launcher import Dispatched, Launcher
    from scaling.dispatch.order import Order
    from scaling.dispatch.states.outcome import Outcome
    from scaling.terminal_table import Terminal


@dataclass(frozen=True)
class Ended:
    """The end of an order: the content of the JSON, the exit code, and whether the command waited for the runs."""

    facts: Mapping[str, Any]
    exit_code: int = 0
    settled_here: bool = False

    def conclude(self, json_path: str | None = None) -> None:
        """Write the JSON if requested, and exit if runs failed or were interrupted."""
        if json_path is not None:
            write_json(self.facts, json_path)
        if self.exit_code:
            raise click.exceptions.Exit(self.exit_code)


def settle(order: Order, launcher: Launcher, *, console: Terminal, again: str, wait: bool = False) -> Ended:
    """Train or submit the unsettled runs; again: the command that continues; wait: watch until jobs have ended."""
    from scaling.commands.mirror import mirrored
    from scaling.dispatch.show import print_outcome, view
    from scaling.dispatch.states.paused import refuse_paused

    path = as_typed(order.folder.path)
    refuse_paused(order.folder, path=path)
    shown = view(console, path)
    with mirrored(order.folder, order.mirror, console):
        try:
            done = launcher.submit(order, shown)
        except KeyboardInterrupt:
            _say_accepted(order, console)
            raise
        if done.outcome is None:
            return _watch_jobs(done, order, console, again=again, wait=wait)
    print_outcome(console, done.outcome, again=_next_command(order, again), folder=path, reported=shown.reported)
    if order.on_end and not done.outcome.stopped and done.outcome.settled + len(done.outcome.failures) > done.found:
        from scaling.on_end import run_at_end

        facts = {**order.folder.facts, "settled": done.outcome.settled, "failed": len(done.outcome.failures)}
        console.say(run_at_end(order.on_end, facts))
    return Ended(done.facts, done.outcome.exit_code, settled_here=True)


def _say_accepted(order: Order, console: Terminal) -> None:
    """Print which jobs a submission that was interrupted has left in the queue."""
    from scaling.dispatch.dispatches import dispatches
    from scaling.dispatch.process import this_process

    own = [dispatch for _, dispatch in dispatches(order.folder) if dispatch.process == this_process()]
    jobs, path = [job for dispatch in own for job in dispatch.jobs], as_typed(order.folder.path)
    if jobs:
        console.say(f"accepted before, and go on: {' '.join(jobs)}; scaling status {path}; stop: scaling cancel {path}")


def _next_command(order: Order, again: str) -> str:
    """Return the command that continues; for a sweep that was paused meanwhile it is `scaling resume`."""
    from scaling.dispatch.states.paused import paused_words

    return f"scaling resume {as_typed(order.folder.path)}" if paused_words(order.folder) else again


def _watch_jobs(done: Dispatched, order: Order, console: Terminal, *, again: str, wait: bool) -> Ended:
    """Print what was submitted and, with `wait`, show it until its jobs have ended."""
    from scaling.commands.mirror import mirror_command
    from scaling.dispatch.show import print_outcome

    path = as_typed(order.folder.path)
    lines = [*done.lines, f"watch: scaling status {path} --watch; stop: scaling cancel {path}"]
    if order.mirror and not wait:
        lines.append(f"mirror it: {mirror_command(order.folder, order.mirror)}")
    console.say(*lines)
    if not wait:
        return Ended(done.facts)
    try:
        outcome = _outcome(done, order, console)
    except KeyboardInterrupt:
        console.say(f"stopped watching; the jobs continue: scaling status {path}")
        raise
    print_outcome(console, outcome, again=_next_command(order, again), folder=path)
    return Ended({**done.facts, "outcome": outcome.to_dict()}, outcome.exit_code)


def _outcome(done: Dispatched, order: Order, console: Terminal) -> Outcome:
    """Show a submitted sweep until its jobs have ended, and return the outcome."""
    from scaling.commands.monitor.status import watch_sweep
    from scaling.dispatch.control.cancel import was_cancelled
    from scaling.dispatch.limits import explain_cancelled
    from scaling.dispatch.states.outcome import outcome_of
    from scaling.dispatch.states.read_state import read_status

    started = time.monotonic()
    status, ids = watch_sweep(console, order.folder), {entry.run_id for entry in order.entries}
    outcome = outcome_of(replace(status, runs=tuple(run for run in status.runs if run.run_id in ids)))
    outcome = explain_cancelled(outcome, order)
    left = outcome.unexplained > 0 and (status.paused or was_cancelled(order.folder))
    if outcome.unexplained and not left:
        console.say(*read_status(order.folder).notes)
    seconds = time.monotonic() - started
    return replace(outcome, found=done.found, held=done.held or outcome.held, stopped=left, seconds=seconds)
