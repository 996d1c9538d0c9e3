"""Reads where the runs of a sweep stand: from record, then claim, then the scheduler, then attempts.

Starts neither torch nor pandas nor pydantic: a thousand runs are read in a fraction of a second.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from scaling.dispatch.claims.claim import PERIODS, Claim, read_claim
from scaling.dispatch.dispatches import Dispatch, dispatches
from scaling.dispatch.states.attempts import FAILURES, failed_for_good, read_attempts
from scaling.dispatch.states.state import BLOCKED, Planned, RunState, State, Status, eta
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder
from scaling.plan.rows import read_rows

SILENT = 10.0  # seconds: the least silence of a claim of another machine before it counts as dead
JobStates = Mapping[str, str]  # scheduler job -> its state, for jobs that have not ended
Ask = Callable[[Sequence[str]], JobStates | None]  # None: the scheduler does not answer


def read_plan(folder: SweepFolder) -> list[Planned]:
    """Read the runs of a sweep from plan.csv and forecast.csv."""
    if not folder.plan.exists():
        raise UserError(f"found no {folder.plan}; wanted the folder of a sweep that was run; check the name")
    seconds = _forecast_seconds(folder)
    return [
        Planned(
            row["run_id"],
            row.get("overrides") or row["run_id"],
            float(row.get("stage_C") or row["C"]),
            seconds.get(row["run_id"]),
            (row["parent"],) if row.get("parent") else (),
            int(row["parent_step"]) if row.get("parent_step") else None,
        )
        for row in read_rows(folder)
    ]


def _forecast_seconds(folder: SweepFolder) -> dict[str, float]:
    """Read what each run was forecast to take; nothing where the file is missing or broken, for it is only a guess."""
    try:
        with folder.forecast.open(newline="", encoding="utf-8") as file:
            return {row["run_id"]: float(row["seconds"]) for row in csv.DictReader(file) if row.get("seconds")}
    except (FileNotFoundError, KeyError, ValueError, csv.Error):
        return {}


def read_status(folder: SweepFolder, *, ask: Ask | None = None) -> Status:
    """Return the state of every run of a sweep; `ask` is the scheduler's (found by itself where jobs are in one)."""
    return Reader(folder, read_plan(folder), ask=ask).read()


class Reader:
    """Reads the state of the same runs again and again; a settled run is read once."""

    def __init__(self, folder: SweepFolder, planned: Iterable[Planned], *, ask: Ask | None = None) -> None:
        self._folder = folder
        self._planned = tuple(planned)
        self._ask = ask
        self._settled: dict[str, RunState] = {}
        self._notes: dict[str, str] = {}

    def read(self) -> Status:
        """Look once at everything that is not settled yet."""
        jobs, alive = self._dispatches()
        states: dict[str, RunState] = {}
        for planned in self._planned:  # what a run needs stands before it
            state = self._one(planned, jobs, alive)
            states[planned.run_id] = self._perhaps_blocked(planned, state, states)
        runs = tuple(states.values())
        return Status(self._folder.name, runs, eta(runs), jobs or {}, tuple(self._notes.values()))

    def _perhaps_blocked(self, planned: Planned, state: RunState, states: Mapping[str, RunState]) -> RunState:
        """Say of a run that is not done why it cannot be, if so."""
        if state.state not in (State.PENDING, State.MISSING):
            return state
        for need in planned.needs:
            before = states.get(need)
            if before is None:
                continue
            kept = planned.step is not None and self._folder.run(need).kept_weights(planned.step).is_file()
            if before.state is State.FAILED or before.cause == BLOCKED:
                return replace(state, cause=BLOCKED, error=f"blocked: run {need}, which it starts from, failed")
            if before.state is State.DIVERGED and not kept:
                return replace(state, cause=BLOCKED, error=f"blocked: run {need} diverged before step {planned.step}")
        return state

    def _dispatches(self) -> tuple[JobStates | None, list[Dispatch]]:
        every = dispatches(self._folder)
        found = [dispatch for _, dispatch in every if not dispatch.ended]
        slurm = [job for _, dispatch in every if dispatch.kind == "slurm" for job in dispatch.jobs]
        jobs: JobStates | None = {}
        if slurm and len(self._settled) < len(self._planned):
            jobs = (self._ask or _scheduler())(slurm)
            if jobs is None:
                self._notes["scheduler"] = "SLURM does not answer: states are from the files alone"
        alive = [dispatch for dispatch in found if _alive(dispatch, jobs)]
        return jobs, alive

    def _one(self, planned: Planned, jobs: JobStates | None, alive: Sequence[Dispatch]) -> RunState:
        known = self._settled.get(planned.run_id)
        if known is not None:
            return known
        files = self._folder.run(planned.run_id)
        facts: dict[str, Any] = {
            "run_id": planned.run_id,
            "label": planned.label,
            "C": planned.C,
            "forecast_seconds": planned.forecast_seconds,
        }
        record = self._record(files)
        if record is not None:
            state = State.DIVERGED if record.get("status") == "diverged" else State.FINISHED
            self._settled[planned.run_id] = _settled(facts, record, state)
            return self._settled[planned.run_id]
        claim = read_claim(files.claim)
        if claim is not None and claim_lives(files, claim, jobs):
            return _running(facts, claim)
        return _waiting(facts, read_attempts(files), alive)

    def _record(self, files: RunFolder) -> dict[str, Any] | None:
        try:
            record = json.loads(files.record.read_bytes())
            return record if isinstance(record, dict) else {}
        except FileNotFoundError:
            return None
        except ValueError:
            note = f"{files.record} is cut in half; it is set aside and the run done again when the sweep is run"
            self._notes[files.run_id] = note
            return None


def claim_lives(files: RunFolder, claim: Claim, jobs: JobStates | None) -> bool:
    """Return whether a claim's owner is at work, as far as one look can tell."""
    if claim.process.here:
        return not claim.process.gone
    if claim.job and jobs and claim.job in jobs:
        return jobs[claim.job] not in ("PENDING", "REQUEUED")
    try:
        silence = time.time() - files.claim.stat().st_mtime
    except FileNotFoundError:
        return False
    return silence < (PERIODS * claim.period if jobs else max(SILENT, PERIODS * claim.period))


def _alive(dispatch: Dispatch, jobs: JobStates | None) -> bool:
    if dispatch.kind == "slurm":
        return jobs is None or any(job == j or job.startswith(f"{j}_") for j in dispatch.jobs for job in jobs)
    return not dispatch.process.gone


def _scheduler() -> Ask:
    from scaling.dispatch.slurm.scheduler import job_states

    return job_states


def _settled(facts: Mapping[str, Any], record: Mapping[str, Any], state: State) -> RunState:
    how = record.get("how") or {}
    points = record.get("points") or [{}]
    return RunState(
        **facts,
        state=state,
        seconds=how.get("seconds"),
        host=str(how.get("host") or ""),
        loss=points[-1].get("loss"),
        speed=how.get("examples_per_second"),
        attempts=int(how.get("attempts") or 1),
    )


def _running(facts: Mapping[str, Any], claim: Claim) -> RunState:
    progress = claim.progress
    return RunState(
        **facts,
        state=State.RUNNING,
        seconds=max(0.0, time.time() - claim.since),
        host=claim.process.host,
        job=claim.job,
        worker=claim.worker,
        step=int(progress["step"]) if "step" in progress else None,
        steps=int(progress["steps"]) if "steps" in progress else None,
        loss=progress.get("loss"),
        speed=progress.get("examples_per_second"),
    )


def _waiting(facts: Mapping[str, Any], tried: Sequence[Mapping[str, Any]], alive: Sequence[Dispatch]) -> RunState:
    last = tried[-1] if tried else {}
    cause, error = str(last.get("cause") or ""), str(last.get("error") or "")
    if alive:  # failed only where the latest dispatch will not try again
        latest = max(alive, key=lambda dispatch: dispatch.started)
        since = [attempt for attempt in tried if _ended(attempt) >= latest.started]
        retries = int(latest.launcher.get("retries", 0))
        state = State.FAILED if failed_for_good(since, retries=retries) else State.PENDING
    else:
        state = State.FAILED if cause in FAILURES else State.MISSING
    return RunState(
        **facts, state=state, cause=cause, error=error, attempts=len(tried), host=str(last.get("host") or "")
    )


def _ended(attempt: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(attempt["end"])).timestamp()
