"""A worker: takes run after run from a queue, claims it, trains it, writes down how the attempt ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.dispatch.claims.claim import Claim, HeldClaim, Life, Observer, take
from scaling.dispatch.claims.heartbeat import TICK, Heart
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.limits import NOTHING, Spent, beyond, spent
from scaling.dispatch.process import host
from scaling.dispatch.queue import Entry, read_queue
from scaling.dispatch.states import attempts
from scaling.dispatch.states.attempts import Attempt, disk_full, iso, now, one_line
from scaling.dispatch.states.settled import clear_for_training, settled
from scaling.folders import RunFolder, SweepFolder, remove_asides
from scaling.plan.limits import UNLIMITED, Limits

log = logging.getLogger(__name__)
TRAIN = "scaling.train.run:train_run"
SPACE_TRIES = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60)  # seconds between two tries on a full disk

Train = Callable[..., Any]


class Step(Enum):
    """What became of one look at one run."""

    SETTLED = "settled"  # it has a record, ours or another's
    FAILED = "failed"  # its tries are used up
    AGAIN = "again"  # to be tried again
    BUSY = "busy"  # a living worker has it
    UNSURE = "unsure"  # its claim may be dead
    LATER = "later"  # not in the time that is left
    HELD = "held"  # beyond a limit, or cancelled
    EARLY = "early"  # a run that it needs is in living hands
    BLOCKED = "blocked"  # a run that it needs is not settled, and nobody is at it


@dataclass(frozen=True)
class Task:
    """What a worker is told: where the runs are, which of them are its own, and how it shall work.

    `gpus`: held by this worker; `before`: what runs outside the queue have spent; `deadline`: Unix seconds when its
    time is up; `patience`: seconds to wait for space on a full disk; `train`: module:function that settles one run.
    """

    folder: SweepFolder
    queue: Path
    group: str = ""
    name: str = ""
    job: str = ""
    gpus: int = 0
    retries: int = 0
    beat_seconds: float = 1.0
    patience: float = 0.0
    limits: Limits = UNLIMITED
    before: Spent = NOTHING
    deadline: float | None = None
    train: str = TRAIN


@dataclass
class Report:
    """What a worker did, and why it left; `later`: runs it left because its time would not have lasted for them."""

    settled: int = 0
    failed: int = 0
    reason: str = "done"
    sentence: str = ""
    held: list[str] = field(default_factory=list)
    later: int = 0


class Worker:
    """One process that settles runs, one after the other."""

    def __init__(self, task: Task, *, stop: Stop, heart: Heart, observer: Observer | None = None) -> None:
        self.task = task
        self.stop = stop
        self.heart = heart
        self.observer = observer or Observer(job=task.job)
        self.report = Report()
        self._queue: list[Entry] = []
        self._train: Train | None = None

    def work(self) -> Report:
        """Take runs until none is left that can be taken; leave those of living workers to them."""
        self._queue = read_queue(self.task.queue, group=self.task.group)
        waiting = self._queue
        while waiting and not self.stop.reason:
            waiting, steps = self._pass(waiting)
            if Step.SETTLED in steps or Step.AGAIN in steps or Step.FAILED in steps:
                continue
            if not steps & {Step.UNSURE, Step.EARLY}:
                break
            time.sleep(TICK)
        self.report.reason = self.stop.reason or self.report.reason
        return self.report

    def _pass(self, waiting: list[Entry]) -> tuple[list[Entry], set[Step]]:
        kept: list[Entry] = []
        steps: set[Step] = set()
        later = 0
        for index, entry in enumerate(waiting):
            if self.stop.reason:
                return kept + waiting[index:], steps
            step = self._patiently(entry)
            steps.add(step)
            later += step is Step.LATER
            if step not in (Step.SETTLED, Step.FAILED, Step.HELD):
                kept.append(entry)
        self.report.later = later
        return kept, steps

    def settle(self, entry: Entry) -> Step:
        """Settle one run alone, with as many tries as it has; wait until it is clear whether a claim of it is dead."""
        while True:
            step = self._patiently(entry)
            if self.stop.reason or step not in (Step.UNSURE, Step.AGAIN):
                return step
            time.sleep(TICK if step is Step.UNSURE else 0)

    def _patiently(self, entry: Entry) -> Step:
        """Look at one run; on a full disk wait for space, as long as the launcher's patience."""
        waited = 0.0
        for pause in (*SPACE_TRIES, 0):
            try:
                return self.look(entry)
            except OSError as error:
                if not disk_full(error):
                    raise
                if pause == 0 or waited + pause > self.task.patience:
                    self.stop.say("disk_full")
                    self.report.sentence = f"found no space left under {self.task.folder.results} ({error.strerror})"
                    return Step.AGAIN
                log.warning("no space left under %s; trying again in %d s", self.task.folder.results, pause)
                time.sleep(pause)
                waited += pause
        return Step.AGAIN

    def look(self, entry: Entry) -> Step:
        """Look at one run, and train it if nobody has."""
        files = self.task.folder.run(entry.run_id)
        if settled(files, entry.keeps):
            return Step.SETTLED
        early = self._early(entry)
        if early is not None:
            return early
        life, _ = self.observer.look(files.claim)
        if life in (Life.ALIVE, Life.UNSURE):
            return Step.BUSY if life is Life.ALIVE else Step.UNSURE
        if self._used_up(files, entry):
            return Step.FAILED
        if self.heart.refused(entry.run_id):
            return Step.HELD
        if not self._in_time(entry):
            return Step.LATER
        held, dead = take(
            files.claim,
            self.observer,
            job=self.task.job,
            worker=self.task.name,
            gpus=self.task.gpus,
            period=self.task.beat_seconds,
        )
        if held is None:
            return Step.UNSURE if life is Life.DEAD else Step.BUSY
        return self._claimed(entry, files, held, dead)

    def _claimed(self, entry: Entry, files: RunFolder, held: HeldClaim, dead: Claim | None) -> Step:
        self.heart.hold(entry.run_id, held)
        try:
            if settled(files, entry.keeps):  # by another worker, between our look and our claim
                return Step.SETTLED
            if dead is not None:
                self._bury(entry, files, dead)
                if self._used_up(files, entry):
                    return Step.FAILED
            if self._beyond_limit(entry):
                return Step.HELD
            clear_for_training(files)
            return self._attempt(entry, files)
        finally:
            self.heart.drop()

    def _attempt(self, entry: Entry, files: RunFolder) -> Step:
        started, failure = now(), None
        try:
            status = self._train_one(entry, files)
        except Exception as error:
            if disk_full(error):
                raise
            failure, status = error, attempts.cause_of(error)
            log.warning("run %s (%s) failed: %s", entry.run_id, entry.label, one_line(error))
        attempt = self._write_down(files, status, started, failure)
        if status in attempts.SETTLED:
            self.report.settled += 1
            return Step.SETTLED
        if failure is None:
            return Step.HELD if self.stop.run_reason else Step.AGAIN
        if self._used_up(files, entry):
            self.report.failed += 1
            self.report.sentence = self.report.sentence or attempt.error
            return Step.FAILED
        return Step.AGAIN

    def _train_one(self, entry: Entry, files: RunFolder) -> str:
        from scaling.plan.planned import PlannedRun

        run = PlannedRun.from_dict(entry.run)
        if run.run_id != entry.run_id:
            raise ValueError(f"the queue's run {entry.run_id} reads back as {run.run_id}: the code has changed since")
        self._train = self._train or load(self.task.train)
        device = run.config.train.device
        callbacks = {"watch": self.heart.watch, "stop": self.stop}
        record = self._train(run, files, device=device, forecast_seconds=entry.forecast_seconds, **callbacks)
        if record is None:
            return self.cause_of_stop()
        return str(record.status)

    def cause_of_stop(self) -> str:
        """Return why the run that was stopped was stopped."""
        return self.stop.run_reason or self.stop.reason or "interrupted"

    def cause_of_death(self, claim: Claim) -> str:
        """Return why the owner of a dead claim died."""
        return "killed"

    def _write_down(self, files: RunFolder, cause: str, started: float, failure: Exception | None) -> Attempt:
        seconds = now() - started
        attempt = Attempt(
            start=iso(started),
            end=iso(started + seconds),
            host=host(),
            job=self.task.job,
            cause=cause,
            seconds=round(seconds, 3),
            gpu_seconds=round(seconds * self.task.gpus, 3),
            error=one_line(failure) if failure else "",
            traceback=attempts.whole(failure) if failure else "",
        )
        attempt.append(files)
        return attempt

    def _bury(self, entry: Entry, files: RunFolder, dead: Claim) -> None:
        """Write down the attempt of a worker that died; clear away the file that it was writing."""
        remove_asides(files.path, dead.process.pid)
        seconds = max(0.0, dead.beat - dead.since)
        who = f"the worker (process {dead.process.pid} on {dead.process.host}) died under it"
        log.warning("run %s (%s): %s; continuing", entry.run_id, entry.label, who)
        Attempt(
            start=iso(dead.since),
            end=iso(dead.beat),
            host=dead.process.host,
            job=dead.job,
            cause=self.cause_of_death(dead),
            seconds=round(seconds, 3),
            gpu_seconds=round(seconds * dead.gpus, 3),
            error=who,
        ).append(files)

    def _early(self, entry: Entry) -> Step | None:
        """Return EARLY or BLOCKED for a run whose needs are not all settled, None for one that may begin."""
        for files in map(self.task.folder.run, entry.needs):
            life, _ = self.observer.look(files.claim)  # before the record: what is settled in between is ready
            if settled(files) and (entry.step is None or files.kept_weights(entry.step).is_file()):
                continue
            return Step.EARLY if life in (Life.ALIVE, Life.UNSURE) else Step.BLOCKED
        return None

    def _used_up(self, files: RunFolder, entry: Entry) -> bool:
        if not files.attempts.exists():
            return False
        since = attempts.read_attempts(files)[entry.tried :]
        return attempts.failed_for_good(since, retries=self.task.retries)

    def _in_time(self, entry: Entry) -> bool:
        if self.task.deadline is None or self.report.settled == 0:  # a fresh job takes any run: it has a checkpoint
            return True
        return time.time() + (entry.forecast_seconds or 0.0) <= self.task.deadline

    def _beyond_limit(self, entry: Entry) -> bool:
        bounds = self.task.limits
        if not bounds:
            return False
        here = spent(self.task.folder, self._queue, gpus=self.task.gpus, without=entry.run_id)
        so_far = Spent(here.gpu_hours + self.task.before.gpu_hours, here.flops + self.task.before.flops)
        why = beyond(bounds, so_far, entry, gpus=self.task.gpus)
        if why:
            self.report.held.append(entry.run_id)
            self.report.sentence = why
        return bool(why)


def load(name: str) -> Train:
    """Import module:function."""
    module, _, function = name.partition(":")
    found: Train = getattr(import_module(module), function)
    return found
