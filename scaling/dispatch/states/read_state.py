"""Read the states of a sweep's runs: from the record, then the claim, the scheduler and the attempts.

Imports neither torch nor pandas nor pydantic, so that a thousand runs are read in a fraction of a second.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from scaling.dispatch.claims.claim import PERIODS, Claim, read_claim
from scaling.dispatch.claims.server_clock import age
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, dispatches, unreadable_dispatches
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.states.attempts import FAILURES, FRUITLESS_TRIES, failed_for_good, fruitless, read_attempts
from scaling.dispatch.states.cancelled import cancelled_runs
from scaling.dispatch.states.front import front_runs
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.paused import paused_words
from scaling.dispatch.states.quiet import quiet_words
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.settled import Settled, SettledRuns, begun_runs
from scaling.dispatch.states.state import BLOCKED, Planned, RunState, State, Status
from scaling.dispatch.states.time_left import eta
from scaling.folders import RunFolder, SweepFolder, exists

SILENT = 10.0  # least seconds without a heartbeat before a claim of another machine counts as dead
ALL_SECONDS = 30.0  # between two looks at every run, which find those whose lines in the index were lost
NAMED = 3  # runs at the front that a note names
JOBS_SECONDS = 10.0  # between two queries of a scheduler
OF_PLAN = ("run_id", "label", "C", "forecast_seconds", "work", "steps", "stacked", "members", "beside")  # see Planned
JobStates = Mapping[str, str]  # job of the scheduler -> its state, for unfinished jobs
Told = tuple[DispatchFolder, Dispatch]  # a dispatch and its folder


def read_status(folder: SweepFolder) -> Status:
    """Return the state of every run of a sweep."""
    return Reader(folder, read_plan(folder)).read_with_trouble()


def _trouble(folder: SweepFolder) -> list[str]:
    """Return sentences on what keeps the jobs of a sweep from training."""
    queued = _by_launcher((files, dispatch) for files, dispatch in dispatches(folder) if not dispatch.ended)
    sentences = [text for found in queued.values() for text in launcher_of_dispatch(found[-1][1]).trouble(found)]
    for path in unreadable_dispatches(folder):
        sentences.append(f"{path} cannot be read, so the state of its jobs is unknown, and they cannot be cancelled")
    return sentences


class Reader:
    """Reads the states of the same runs repeatedly; a settled run is read once. settled: cache of settled runs."""

    def __init__(self, folder: SweepFolder, planned: Iterable[Planned], *, settled: SettledRuns | None = None) -> None:
        self._folder = folder
        self._planned = tuple(planned)
        self._records = settled or SettledRuns(folder)
        self._settled: dict[str, RunState] = {}
        self._silent = ""
        self._news = Index.from_now(folder.results)
        self._before: dict[str, RunState] = {}
        self._begun: set[str] = set()  # runs that have a folder
        self._looked: tuple[float, Any] = (float("-inf"), None)
        self._asked: dict[str, tuple[float, JobStates | None]] = {}  # by launcher: when, and its answer
        self._trouble: tuple[float, list[str]] = (float("-inf"), [])

    def read_with_trouble(self) -> Status:
        """Read the states; if runs are left, add notes on what keeps jobs from training, at most JOBS_SECONDS old."""
        status = self.read()
        if not status.of(State.RUNNING, State.PENDING, State.MISSING):
            return status
        if time.monotonic() - self._trouble[0] > JOBS_SECONDS:
            self._trouble = (time.monotonic(), _trouble(self._folder))
        return replace(status, notes=(*status.notes, *self._trouble[1]))

    def read(self, *, afresh: bool = False) -> Status:
        """Read the states: of all unsettled runs if `afresh` or due, else of running ones and those in the index."""
        jobs, alive = self._dispatches()
        named = {event.run_id for event in self._news.news()}
        jobs_alive = (None if jobs is None else len(jobs), [dispatch.id for dispatch in alive])
        if afresh or jobs_alive != self._looked[1] or time.monotonic() - self._looked[0] > ALL_SECONDS:
            self._looked = (time.monotonic(), jobs_alive)
            self._before.clear()
            self._begun = begun_runs(self._folder)
        self._begun |= named
        before, states = self._before, dict[str, RunState]()
        for planned in self._planned:  # parents come before their children
            state = before.get(planned.run_id)
            if state is None or state.state is State.RUNNING or planned.run_id in named:
                state = before[planned.run_id] = self._one(planned, jobs, alive)
            states[planned.run_id] = self._perhaps_blocked(planned, state, states)
        runs = tuple(states.values())
        paused = paused_words(self._folder)
        notes = (*([f"{paused}; `scaling resume` continues it"] if paused else []), *self._notes(runs))
        workers = sum(dispatch.workers for dispatch in alive if not dispatch.jobs)
        left = eta(runs, workers=workers + list((jobs or {}).values()).count("RUNNING"))
        return Status(self._folder.name, runs, left, jobs or {}, notes, bool(paused))

    def _notes(self, runs: Sequence[RunState]) -> Iterator[str]:
        if self._silent:
            yield self._silent
        yield from quiet_words(self._folder, runs)
        noted = {
            "first in the queue (`scaling first`)": front_runs(self._folder),
            "cancelled by name; `scaling retry` with their names takes them up again": sorted(
                cancelled_runs(self._folder) & {run.run_id for run in runs}
            ),
        }
        for what, ids in noted.items():
            left = [run_id for run_id in ids if run_id not in self._settled]
            if left:
                yield f"{', '.join(left[:NAMED])}{', …' if len(left) > NAMED else ''}: {what}"
        for error in self._records.broken.values():
            yield f"{error}; the next `scaling run` sets it aside and trains the run again"

    def _perhaps_blocked(self, planned: Planned, state: RunState, states: Mapping[str, RunState]) -> RunState:
        """Return the state of a waiting run, marked as blocked if its parent failed or diverged too early."""
        if state.state not in (State.PENDING, State.MISSING):
            return state
        for need in planned.needs:
            before = states.get(need)
            if before is None:
                continue
            kept = planned.step is not None and exists(self._folder.run(need).kept_weights(planned.step))
            if before.state is State.FAILED or before.cause == BLOCKED:
                return replace(state, cause=BLOCKED, error=f"blocked: its parent {need} failed")
            if before.state is State.DIVERGED and not kept:
                return replace(
                    state, cause=BLOCKED, error=f"blocked: its parent {need} diverged before step {planned.step}"
                )
        return state

    def _dispatches(self) -> tuple[JobStates | None, list[Dispatch]]:
        every = dispatches(self._folder)
        jobs: JobStates | None = {}
        self._silent = ""
        if len(self._settled) < len(self._planned):
            for kind, queued in _by_launcher(every).items():
                states = self._states(kind, queued)
                if states is None:
                    self._silent = f"{kind.upper()} does not answer: states are from the files alone"
                jobs = None if jobs is None or states is None else {**jobs, **states}
        alive = [dispatch for _, dispatch in every if not dispatch.ended and _alive(dispatch, jobs)]
        return jobs, alive

    def _states(self, kind: str, queued: Sequence[Told]) -> JobStates | None:
        """Return the states of a launcher's jobs, at most JOBS_SECONDS old; None if its scheduler does not answer."""
        when, states = self._asked.get(kind, (float("-inf"), None))
        if time.monotonic() - when > JOBS_SECONDS:
            states = launcher_of_dispatch(queued[-1][1]).job_states(queued)
            self._asked[kind] = (time.monotonic(), states)
        return states

    def _one(self, planned: Planned, jobs: JobStates | None, alive: Sequence[Dispatch]) -> RunState:
        known = self._settled.get(planned.run_id)
        if known is not None:
            return known
        facts = {name: getattr(planned, name) for name in OF_PLAN}
        files = self._folder.run(planned.run_id)
        if planned.run_id not in self._begun:
            return _waiting(facts, (), alive, planned.fork)
        settled = self._records.get(planned.run_id)
        if settled is not None:
            self._settled[planned.run_id] = _settled(facts, settled)
            return self._settled[planned.run_id]
        try:
            claim = read_claim(files.claim)
            if claim is not None and claim_lives(files, claim, jobs):
                return _running(facts, claim, planned.fork)
            return _waiting(facts, read_attempts(files), alive, planned.fork, died=claim)
        except OSError as error:  # not readable, or no answer
            why = f"{error.strerror}: {error.filename}"
            return RunState(**facts, state=State.FAILED, cause="out_of_reach", error=why)


def claim_lives(files: RunFolder, claim: Claim, jobs: JobStates | None) -> bool:
    """Return whether a claim's owner is alive, as far as one look can tell."""
    if claim.process.here:
        return not claim.process.gone
    if claim.job and jobs and jobs.get(claim.job, "PENDING") not in ("PENDING", "REQUEUED"):
        return True  # a job that was waiting some seconds ago may have begun since
    try:
        silence = age(files.claim)
    except FileNotFoundError:
        return False
    return silence < (PERIODS * claim.period if jobs else max(SILENT, PERIODS * claim.period))


def _by_launcher(every: Iterable[Told]) -> dict[str, list[Told]]:
    """Return the dispatches with jobs in a scheduler, by the launcher's name."""
    found: dict[str, list[Told]] = {}
    for files, dispatch in every:
        if dispatch.jobs:
            found.setdefault(dispatch.kind, []).append((files, dispatch))
    return found


def _alive(dispatch: Dispatch, jobs: JobStates | None) -> bool:
    if dispatch.jobs:
        return jobs is None or any(job == j or job.startswith(f"{j}_") for j in dispatch.jobs for job in jobs)
    return not dispatch.process.gone


def _settled(facts: Mapping[str, Any], found: Settled) -> RunState:
    return RunState(
        **facts,
        state=State.DIVERGED if found.status == "diverged" else State.FINISHED,
        seconds=found.seconds,
        host=found.host,
        loss=found.loss,
        speed=found.speed,
        attempts=found.attempts,
    )


def _running(facts: Mapping[str, Any], claim: Claim, fork: int) -> RunState:
    progress = claim.progress
    known = {"steps": int(progress["steps"]) - fork} if "steps" in progress else {}
    step, seconds = progress.get("step"), max(0.0, time.time() - claim.since) if claim.since else None
    return RunState(
        **{**facts, **known},
        state=State.RUNNING,
        seconds=seconds,  # unknown for a damaged claim
        host=claim.process.host,
        job=claim.job,
        worker=claim.worker,
        step=None if step is None else max(0, int(step) - fork),
        began=max(0, int(progress.get("began", 0)) - fork),
        loss=progress.get("loss"),
        speed=progress.get("examples_per_second"),
        seconds_at_step=progress.get("seconds"),
        silent=max(0.0, (seconds or 0.0) - progress.get("noted", 0.0)),
    )


def _waiting(
    facts: Mapping[str, Any],
    tried: Sequence[Mapping[str, Any]],
    alive: Sequence[Dispatch],
    fork: int,
    *,
    died: Claim | None = None,
) -> RunState:
    """Return the state of a run that nobody trains; died: the claim of a worker whose death is not recorded yet."""
    last = tried[-1] if tried else {}
    cause, error = str(last.get("cause") or ""), str(last.get("error") or "")
    if alive:  # failed only if the latest dispatch will not try again
        latest = max(alive, key=lambda dispatch: dispatch.started)
        jobs = {job for dispatch in alive for job in dispatch.jobs} if tried else set()
        since = [attempt for attempt in tried if _is_since(attempt, latest, jobs)]
        before = [attempt for attempt in tried if attempt not in since]
        retries = int(latest.launcher.get("retries", 0))
        failed = failed_for_good(since, retries=retries, before=before)
        state = State.FAILED if failed else State.PENDING
    else:
        state = State.FAILED if cause in FAILURES or fruitless(tried) else State.MISSING
    if state is State.FAILED and fruitless(tried):
        error = "; ".join(filter(None, [error, f"the last {FRUITLESS_TRIES} attempts gained no step"]))
    step = last.get("step") if died is None else died.progress.get("step")
    return RunState(
        **facts,
        state=state,
        cause=cause,
        error=error,
        attempts=len(tried) + (died is not None),
        host=str(last.get("host") or ""),
        began=max(0, int(step or 0) - fork),
    )


def _is_since(attempt: Mapping[str, Any], latest: Dispatch, jobs: Collection[str]) -> bool:
    """Return whether an attempt is of a live dispatch: by its job if there are any, because clocks differ."""
    job = str(attempt.get("job") or "").split("_")[0]
    return job in jobs if job and jobs else _ended(attempt) >= latest.started


def _ended(attempt: Mapping[str, Any]) -> float:
    """Return when an attempt ended (Unix seconds), 0 if its line does not say."""
    try:
        return datetime.fromisoformat(str(attempt.get("end"))).timestamp()
    except ValueError:
        return 0.0
