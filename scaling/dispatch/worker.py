"""A worker: it takes runs from a queue, claims and trains them, and records how each attempt ended."""

from __future__ import annotations

import logging
import time
from functools import partial

from scaling.dispatch.claims.claim import Claim, HeldClaim, Life, Observer, take
from scaling.dispatch.claims.file_retries import FileRetries
from scaling.dispatch.claims.heartbeat import TICK, Heartbeat
from scaling.dispatch.claims.index_notes import IndexNotes
from scaling.dispatch.claims.parents import ParentStates
from scaling.dispatch.claims.queue_walk import QueueWalk
from scaling.dispatch.claims.spending import Spending
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.queue import Entry, LazyQueue
from scaling.dispatch.spent import Spent, beyond
from scaling.dispatch.states import attempts
from scaling.dispatch.states.attempts import Start, dead_attempt, disk_full, ended_attempt, one_line
from scaling.dispatch.states.front import Front
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.settled import clear_for_training, is_settled
from scaling.dispatch.task import PROCESS_CHANGED, Report, Result, Task, Train, load
from scaling.folders import RunFolder, exists, remove_temporary_files
from scaling.security.worker_reuse import permanent_changes

__all__ = ["Task", "Worker"]  # Task: pickles of version 0.1.0 name it here
log = logging.getLogger(__name__)
PASSING_PAUSE = 2.0  # seconds before a run is tried again after a temporary file error
STUCK_FORECASTS = 20  # times the forecast, without a step, after which a run is stuck


class Worker:
    """One process that settles runs, one after the other."""

    def __init__(self, task: Task, *, stop: Stop, heartbeat: Heartbeat, observer: Observer | None = None) -> None:
        self.task = task
        self.stop = stop
        self.heartbeat = heartbeat
        self.observer = observer or Observer(job=task.job)
        self.report = Report()
        self.notes = IndexNotes(Index.from_now(task.folder.results, since=task.since))
        self.with_retries = FileRetries(task, stop, self.report)
        self._parents = ParentStates(task.folder, self.observer)
        self._queue: LazyQueue | None = None
        self._walk: QueueWalk | None = None
        self._spending: Spending | None = None
        self._train: Train | None = None

    def work(self) -> Report:
        """Train runs until none is left, except those that other workers train or that cannot start."""
        queue = self._queue = LazyQueue(self.task.queue, self.task.group)
        spending = self._spending = Spending(frozenset(queue.run_ids)) if self.task.limits else None
        walk = self._walk = QueueWalk(
            queue,
            self.task,
            self.notes.index,
            dispatch=self.task.queue.parent.name,
            on_event=None if spending is None else spending.add,
            front=Front(self.task.folder).news,
        )
        while walk.left and not self.stop.reason:
            self._until_none_is_free(walk, queue)
            if not self.stop.reason and not walk.check():
                break
        self.report.reason = self.stop.reason or self.report.reason
        return self.report

    def _until_none_is_free(self, walk: QueueWalk, queue: LazyQueue) -> None:
        """Train runs until the remaining ones are trained by others or cannot start."""
        pause = TICK
        while walk.left and not self.stop.reason:
            results = self._pass(walk, queue)
            if results & {Result.SETTLED, Result.AGAIN, Result.FAILED}:
                pause = TICK
                continue
            if not results & {Result.UNSURE, Result.EARLY}:
                return
            self.stop.wait(pause)
            pause = min(2 * pause, max(TICK, self.task.beat_seconds))

    def _pass(self, walk: QueueWalk, queue: LazyQueue) -> set[Result]:
        """Look once at every remaining run, free ones first; return the results that occurred."""
        seen: dict[str, Result] = {}
        self._parents.forget()
        for run_id in walk.round():
            if self._parents.known_early(queue.needs(run_id)):
                continue
            entry = queue.get(run_id)
            if self.stop.reason:
                break
            found = (
                self.look_in_turn(entry, walk, queue) if entry else {run_id: self.with_retries.skip_unreadable(run_id)}
            )
            seen |= found
            if permanent_changes():
                self.stop.say(PROCESS_CHANGED)
            for each, result in found.items():
                walk.visited(each, done=result in (Result.SETTLED, Result.FAILED, Result.HELD))
                if result is Result.FAILED and each not in self.report.out_of_reach:
                    self.notes.failed(each, self.task.queue.parent.name)
        self.report.later = sum(result is Result.LATER for result in seen.values())
        return set(seen.values())

    def look_in_turn(self, entry: Entry, walk: QueueWalk, queue: LazyQueue) -> dict[str, Result]:
        """Look at one run of the queue, with retries; return results by run id."""
        return {entry.run_id: self.with_retries(entry, lambda: self.look(entry))}

    def settle(self, entry: Entry) -> Result:
        """Settle one run, with retries; wait until it is certain whether an existing claim is dead."""
        while True:
            self._parents.forget()
            result = self.with_retries(entry, lambda: self.look(entry))
            if self.stop.reason or result not in (Result.UNSURE, Result.AGAIN):
                return result
            time.sleep(TICK if result is Result.UNSURE else 0)

    def look(self, entry: Entry) -> Result:
        """Look at one run, and train it if it is free."""
        if (result := self.claim(entry)) is not None:
            return result
        try:
            return self._attempt(entry, self.task.folder.run(entry.run_id))
        finally:
            self.drop(entry.run_id)

    def drop(self, run_id: str) -> None:
        """Release the claim of a run, if it is held."""
        self.notes.dropped(run_id)
        self.heartbeat.drop(run_id)

    def claim(self, entry: Entry, *, after: float = 0.0) -> Result | None:
        """Claim a run for training; return None if it is held now, else why not.

        after: forecast seconds of the runs that are trained together with it.
        """
        files = self.task.folder.run(entry.run_id)
        if is_settled(files, entry.keeps):
            return Result.SETTLED
        if (early := self._parents.early(entry, self._may_still_run)) is not None:
            return early
        life, owner = self.observer.look(files.claim)
        if life in (Life.ALIVE, Life.UNSURE):
            return Result.BUSY if life is Life.ALIVE else Result.UNSURE
        if self._used_up(files, entry):
            return Result.FAILED
        if self.heartbeat.reason_not_to_start(entry.run_id):
            return Result.HELD
        if not self._in_time(entry, after):
            return Result.LATER
        if life is Life.DEAD and owner is not None:
            self.cause_of_death(owner)  # asks SLURM, whose answer is kept, before others wait for the claim
        task = self.task
        facts = {"job": task.job, "worker": task.name, "gpus": task.gpus, "period": task.beat_seconds}
        held = take(files.claim, self.observer, before=partial(self._record_death, entry, files), **facts)
        if held is None:
            return Result.UNSURE if life is Life.DEAD else Result.BUSY
        return self._claimed(entry, files, held)

    def _claimed(self, entry: Entry, files: RunFolder, held: HeldClaim) -> Result | None:
        """Check a run again after claiming it; return None if it is ready, else release it and return why."""
        self.heartbeat.hold(entry.run_id, held, stuck_seconds=self._stuck_seconds(entry))
        self.notes.claimed(entry, held.claim)
        if self._walk is not None:
            self._walk.took()
        result: Result | None = Result.AGAIN
        try:
            result = self._after_claim(entry, files)
        finally:
            if result is not None:
                self.drop(entry.run_id)
        return result

    def _after_claim(self, entry: Entry, files: RunFolder) -> Result | None:
        if is_settled(files, entry.keeps):  # by another worker, just before our claim
            return Result.SETTLED
        if self._used_up(files, entry):  # by the death of its last owner, or by another worker meanwhile
            return Result.FAILED
        if self._beyond_limit(entry):
            return Result.HELD
        clear_for_training(files)
        return None

    def _attempt(self, entry: Entry, files: RunFolder) -> Result:
        started = Start()
        end: str | BaseException = ""
        try:
            end = self._train_one(entry, files)
        except BaseException as error:  # also sys.exit() in a run: it ends the run, not the worker
            if disk_full(error) or (isinstance(error, KeyboardInterrupt) and self.stop.reason):
                raise
            end = error
        try:
            return self.conclude(entry, started, end)
        finally:
            end = ""  # breaks the reference cycle through its traceback, which holds the run's model

    def conclude(
        self, entry: Entry, started: Start, end: str | BaseException, *, share: float = 1.0, stack: int = 1
    ) -> Result:
        """Record how an attempt ended: the status of the record, why it was stopped, or an error; share: of the GPUs'
        time."""
        files = self.task.folder.run(entry.run_id)
        failure = end if isinstance(end, BaseException) else None
        status = attempts.cause_of(end) if isinstance(end, BaseException) else end
        if failure is not None:
            log.info("run %s (%s) failed: %s", entry.run_id, entry.label, one_line(failure))  # the command says it
        if (failed := self.note(entry, started, status, failure, share=share, stack=stack)) is not None:
            return failed
        if status in attempts.SETTLED:
            self.report.settled += 1
            return Result.SETTLED
        if status == "file_error" and not self._used_up(files, entry):
            time.sleep(PASSING_PAUSE)
            return Result.AGAIN
        if failure is None:
            return Result.HELD if self.stop.runs.get(entry.run_id) else Result.AGAIN
        if self._used_up(files, entry):
            self.report.failed += 1
            self.report.sentence = self.report.sentence or one_line(failure)
            return Result.FAILED
        return Result.AGAIN

    def note(
        self, entry: Entry, started: Start, cause: str, failure: BaseException | None, *, share: float, stack: int
    ) -> Result | None:
        """Record an attempt that ends now, with retries, so that a file error does not repeat it; return None, or how
        that failed; share: of the GPUs' time."""
        task, files, step = self.task, self.task.folder.run(entry.run_id), self.heartbeat.step(entry.run_id)
        attempt = ended_attempt(
            started, job=task.job, gpus=task.gpus * share, cause=cause, step=step, failure=failure, stack=stack
        )
        failed = self.with_retries(entry, lambda: attempt.append(files))
        if failed is None:
            self.notes.tried(files, attempt)
        return failed

    def _train_one(self, entry: Entry, files: RunFolder) -> str:
        run = entry.planned_run()
        self._train = self._train or load(self.task.train)
        device, run_id = run.config.train.device, entry.run_id
        callbacks = {"watch": partial(self.heartbeat.watch, run_id), "stop": self.stop.of(run_id)}
        record = self._train(run, files, device=device, forecast_seconds=entry.forecast_seconds, **callbacks)
        if record is None:
            return self.cause_of_stop(run_id)
        return str(record.status)

    def cause_of_stop(self, run_id: str) -> str:
        """Return why a run was stopped."""
        return self.stop.runs.get(run_id) or self.stop.reason or "interrupted"

    def cause_of_death(self, claim: Claim) -> str:
        """Return why the owner of a dead claim died."""
        return "killed"

    def _record_death(self, entry: Entry, files: RunFolder, dead: Claim) -> None:
        """Record the attempt of a dead worker, and remove files that it left half written."""
        if is_settled(files, entry.keeps):  # it died afterwards
            return
        remove_temporary_files(files.path, dead.process.pid)
        attempt = dead_attempt(dead, self.cause_of_death(dead))
        log.warning("run %s (%s): %s; continuing", entry.run_id, entry.label, attempt.error)
        self.notes.died(files, attempt, token=dead.token)

    def _may_still_run(self, run_id: str) -> bool:
        """Return whether a run of the queue has not failed for good."""
        entry = None if self._queue is None else self._queue.get(run_id)
        return entry is not None and not self._used_up(self.task.folder.run(run_id), entry)

    def _used_up(self, files: RunFolder, entry: Entry) -> bool:
        if not exists(files.attempts):
            return False
        tried = attempts.read_attempts(files)
        since, before = tried[entry.tried :], tried[: entry.tried]
        return attempts.failed_for_good(since, retries=self.task.retries, before=before)

    def _stuck_seconds(self, entry: Entry) -> float | None:
        """Return the seconds without a step after which a run is stuck, None for no limit."""
        if self.task.stuck_minutes is None or entry.forecast_seconds is None:
            return None
        return max(60 * self.task.stuck_minutes, STUCK_FORECASTS * entry.forecast_seconds)

    def _in_time(self, entry: Entry, after: float) -> bool:
        if self.task.deadline is None or self.report.settled == 0:  # a new job takes any run, and leaves a checkpoint
            return True
        return time.time() + after + (entry.forecast_seconds or 0.0) <= self.task.deadline

    def _beyond_limit(self, entry: Entry) -> bool:
        bounds = self.task.limits
        if self._walk is None or self._spending is None:
            return False
        self._walk.refresh()  # reads the other workers' claims
        gpu_seconds, flops = self._spending.spent(without=entry.run_id)
        so_far = Spent(gpu_seconds / 3600, flops) + self.task.before
        why = beyond(bounds, so_far, entry, gpus=self.task.gpus)
        if why:
            self.report.held.append(entry.run_id)
            self.report.sentence = why
        return bool(why)
