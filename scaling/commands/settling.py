"""From runs to a launcher: train them here, or submit them, and say how it went."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.options import write_json
from scaling.dispatch.launchers import Local, Slurm
from scaling.plan.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from rich.console import Console

    from scaling.dispatch.outcome import Outcome
    from scaling.dispatch.slurm.launch import Submission
    from scaling.folders import SweepFolder
    from scaling.forecast.estimate import Forecast
    from scaling.plan.planned import PlannedRun

Launcher = Local | Slurm


@dataclass(frozen=True)
class Ended:
    """How it ended: what is told in JSON, and the exit code."""

    facts: dict[str, Any]
    exit_code: int = 0

    def conclude(self, json_path: str | None = None) -> None:
        """Write the JSON where it is asked for, and exit where runs failed or were interrupted."""
        if json_path is not None:
            write_json(self.facts, json_path)
        if self.exit_code:
            raise click.exceptions.Exit(self.exit_code)


def settle_runs(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Launcher,
    *,
    console: Console,
    again: str,
    limits: Limits = UNLIMITED,
    forecasts: Mapping[str, Forecast],
    wait: bool = False,
) -> Ended:
    """Train or submit what of `runs` is not settled; `again` is the command that goes on."""
    seconds = {run_id: forecast.seconds for run_id, forecast in forecasts.items()}
    if isinstance(launcher, Local):
        return _here(folder, runs, launcher, console=console, again=again, limits=limits, seconds=seconds)
    from scaling.dispatch.slurm.launch import submit

    memory = {run_id: float(forecast.memory_bytes) for run_id, forecast in forecasts.items()}
    submission = submit(folder, runs, launcher, limits=limits, forecast=seconds, memory=memory)
    _say_submitted(submission, folder, console)
    if not wait:
        return Ended(submission.to_dict())
    outcome = _look_on(submission, folder, runs, console, again=again)
    return Ended({**submission.to_dict(), "outcome": outcome.to_dict()}, outcome.exit_code)


def _here(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Local,
    *,
    console: Console,
    again: str,
    limits: Limits,
    seconds: Mapping[str, float],
) -> Ended:
    from scaling.dispatch.local.launch import run_local
    from scaling.dispatch.show import print_outcome, view

    outcome = run_local(folder, runs, launcher, limits=limits, forecast=seconds, view=view(console))
    print_outcome(console, outcome, again=again)
    return Ended(outcome.to_dict(), outcome.exit_code)


def _look_on(
    submission: Submission, folder: SweepFolder, runs: Sequence[PlannedRun], console: Console, *, again: str
) -> Outcome:
    """Show a submitted sweep until its jobs have ended, and say how its runs ended."""
    from scaling.commands.status import watch_sweep
    from scaling.dispatch.outcome import outcome_of
    from scaling.dispatch.show import print_outcome

    begun = time.monotonic()
    status, ids = watch_sweep(console, folder), {run.run_id for run in runs}
    outcome = outcome_of(replace(status, runs=tuple(run for run in status.runs if run.run_id in ids)))
    left = outcome.missing - outcome.blocked > 0 and not submission.held  # jobs were cancelled
    seconds = time.monotonic() - begun
    outcome = replace(outcome, found=submission.settled, held=submission.held, stopped=left, seconds=seconds)
    print_outcome(console, outcome, again=again)
    return outcome


def _say_submitted(submission: Submission, folder: SweepFolder, console: Console) -> None:
    lines = [
        f"{submission.queued:,} runs submitted in {len(submission.job_ids)} jobs ({submission.settled:,} of "
        f"{submission.runs:,} are settled, {submission.covered:,} are in SLURM's queue already)"
    ]
    lines += [f"  {group}: {' '.join(jobs)}" for group, jobs in (submission.jobs or {}).items()]
    if submission.held:
        lines.append(submission.held)
    if submission.blocked:
        lines.append(f"{submission.blocked:,} runs are blocked: what they start from diverged too early")
    lines.append(f"look on: scaling status {folder.path} --watch; stop it: scaling cancel {folder.path}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
