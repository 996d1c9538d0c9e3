"""A worker in a SLURM job, whose state is on disk, so that it survives requeues."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from submitit.core.utils import DelayedSubmission

from scaling.data.memory import MEMORY, affordable
from scaling.dispatch.claims.claim import Claim, Observer
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.queue_walk import QueueWalk
from scaling.dispatch.claims.stop import Stop, orphan_check, read_stop_request, stop_file_check
from scaling.dispatch.dispatches import DispatchFolder, with_limits
from scaling.dispatch.process import Process, this_process
from scaling.dispatch.queue import LazyQueue, read_queue
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.slurm.scheduler import BEGINS
from scaling.dispatch.slurm.shared_answer import JobIsRunning
from scaling.dispatch.slurm.worker_process import ANEW, listen, run_in_child
from scaling.dispatch.stacks.claim_stack import StackingWorker
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.paused import pause_check
from scaling.dispatch.states.settled import is_known_settled
from scaling.dispatch.task import PROCESS_CHANGED, Report, Task, load
from scaling.folders import Place, exists
from scaling.on_end import run_at_end
from scaling.security.rights import shared_as
from scaling.security.trouble import report_trouble
from scaling.security.trust import trust_all
from scaling.security.worker_reuse import begin_work, permanent_changes

log = logging.getLogger(__name__)
TERMINATED = "terminated"  # SIGTERM: cancelled, preempted or requeued, which SLURM's log shows
WARNED = "warned"  # SIGUSR2: the time limit is near
EARLY = 60  # seconds by which SLURM may warn too soon


@dataclass(frozen=True)
class SlurmJob:
    """One job, which trains runs of its group until none is left, or none fits the time left.

    on_end: a command that the last closing job runs; groups: number of groups, each with a closing job.
    """

    task: Task
    dispatch: DispatchFolder
    signal_seconds: int
    on_end: str = ""
    groups: int = 1

    def __call__(self) -> Report:
        """Train runs; requeue the job if runs are left when its time ends."""
        trust_all()  # the code named in the queue was checked when it was planned
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        log.info(BEGINS)
        if self._nothing_to_do():
            self._close()
        elif code := run_in_child(partial(self._work, this_process())):
            sys.exit(code)
        return Report()

    def _work(self, parent: Process, deaths: Mapping[int, str]) -> int:
        """Train runs in a process of its own, which is not the job's first; return its exit code.

        deaths: causes of earlier such processes' deaths, by their ids.
        """
        stop = Stop()
        requeue = self._listen(stop)
        job = scheduler.own_job()
        checks = (stop_file_check(self.dispatch.stop), pause_check(self.task.folder.paused), orphan_check(parent))
        heartbeat = Heartbeat(stop, checks, home=Place(self.task.folder.results))
        heartbeat.start()
        task = replace(with_limits(self.task, self.dispatch), job=job, deadline=self._deadline(job), place=self._place)
        observer = Observer(job=job, is_running=JobIsRunning(self.task.folder.jobs))
        MEMORY.limit = kept_bytes(gpus=task.gpus)
        load(task.train)
        begin_work()
        with shared_as(task.folder.results):
            how: dict[str, Any] = {"stop": stop, "heartbeat": heartbeat, "observer": observer}
            report = SlurmWorker(task, signal_seconds=self.signal_seconds, deaths=deaths, **how).work()
        log.info("%s", report)
        self._report(job, report)
        if report.reason == PROCESS_CHANGED:
            log.info("runs have left %s", permanent_changes())
            return ANEW
        if self._to_come_back(report) and read_stop_request(self.dispatch.stop) is None:
            log.info("runs are left: back into the queue")
            requeue()
        else:
            self._close()
        return 0

    @property
    def _place(self) -> int:
        """The number of this job among the workers of the queue: after earlier arrays and earlier jobs of its own."""
        return self.task.place + array_index()

    def _report(self, job: str, report: Report) -> None:
        """Report runs that were skipped because of their files, and a full disk."""
        lines = [f"run {run_id} is left: {why}" for run_id, why in report.out_of_reach.items()]
        lines += [report.sentence] if report.reason == "disk_full" else []
        if lines:
            report_trouble(self.dispatch.path, job, lines)

    def _close(self) -> None:
        """Note that the group has ended; after the last group run the command `on_end`, once."""
        if not self.on_end or exists(self.task.folder.paused) or read_stop_request(self.dispatch.stop) is not None:
            return
        (self.dispatch.path / f"ended-{self.task.group or 'all'}").touch()
        if len(list(self.dispatch.path.glob("ended-*"))) < self.groups:
            return
        try:
            (self.dispatch.path / "on_end").touch(exist_ok=False)
        except FileExistsError:
            return
        queue = read_queue(self.task.queue)
        settled = sum(is_known_settled(self.task.folder.run(entry.run_id), entry.keeps) for entry in queue)
        facts = {**self.task.folder.facts, "settled": settled, "failed": len(queue) - settled}
        log.info("%s", run_at_end(self.on_end, facts))

    def _to_come_back(self, report: Report) -> bool:
        """Return whether the job has to requeue itself; SLURM does not requeue a job that ends normally."""
        if report.reason == TERMINATED:
            return ended_by_slurm() in ("preempted", "timed_out")
        return report.reason == WARNED or (report.reason == "done" and report.later > 0)

    def checkpoint(self) -> DelayedSubmission:
        """Return the work of the requeued job, the same; submitit calls this when it requeues."""
        return DelayedSubmission(self)

    def _listen(self, stop: Stop) -> Callable[[], None]:
        """Turn signals into stop requests; return a function that requeues by submitit's handler of SIGUSR2."""
        before = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, lambda *_: stop.say(WARNED))
        signal.signal(signal.SIGTERM, lambda *_: stop.say(TERMINATED))
        signal.signal(signal.SIGINT, lambda *_: stop.say(TERMINATED))
        signal.signal(signal.SIGCONT, signal.SIG_IGN)
        listen()

        def requeue() -> None:
            try:
                if callable(before):
                    before(signal.SIGUSR2, None)
            except (OSError, subprocess.SubprocessError) as error:
                log.warning("%s", error)
                why = "it could not go back into SLURM's queue, for scontrol requeue fails on its node"
                report_trouble(
                    self.dispatch.path, scheduler.own_job(), [f"{why}; give the same command again for what is left"]
                )

        return requeue

    def _nothing_to_do(self) -> bool:
        request = read_stop_request(self.dispatch.stop)
        if exists(self.task.folder.paused) or (request is not None and request.runs is None):
            return True
        task, queue = with_limits(self.task, self.dispatch), LazyQueue(self.task.queue, self.task.group)

        def settled(run_id: str) -> bool:
            return is_known_settled(task.folder.run(run_id), queue.keeps(run_id))

        index = Index.from_now(task.folder.results, since=task.since)
        walk = QueueWalk(queue, replace(task, place=self._place), index)
        walk.refresh()
        return all(map(settled, walk.left)) and not walk.check()

    def _deadline(self, job: str) -> float | None:
        end = os.environ.get("SLURM_JOB_END_TIME", "")  # set by SLURM 22.05 and later, which saves a query
        if end.isdigit():
            return int(end) - self.signal_seconds
        left = scheduler.seconds_left(job)
        return None if left is None else time.time() + left - self.signal_seconds


class SlurmWorker(StackingWorker):
    """A worker that asks SLURM why attempts ended; signal_seconds: from its warning to the time limit.

    deaths: causes of the deaths of earlier workers of this job, by process id.
    """

    def __init__(
        self, task: Task, *, signal_seconds: int, deaths: Mapping[int, str] = MappingProxyType({}), **how: Any
    ) -> None:
        super().__init__(task, **how)
        self._signal_seconds = signal_seconds
        self._own_deaths = deaths
        self._deaths: dict[tuple[str, Process], str] = {}  # asked for once, also if a stack died

    def cause_of_stop(self, run_id: str) -> str:
        """Return why a run was stopped: by the user, else by SLURM."""
        reason = super().cause_of_stop(run_id)
        if reason == WARNED:
            return "timed_out" if self._time_is_up else "preempted"
        if reason == TERMINATED:
            return ended_by_slurm() or TERMINATED
        return reason

    @cached_property
    def _time_is_up(self) -> bool:
        """Whether the job's time limit is near, the original one or the present one; asked once for all runs."""
        if self.task.deadline is not None and time.time() > self.task.deadline - EARLY:
            return True
        left = scheduler.seconds_left(self.task.job)
        return left is not None and left < self._signal_seconds + EARLY

    def cause_of_death(self, claim: Claim) -> str:
        """Return why the owner of a dead claim died."""
        key = claim.job, claim.process
        if key not in self._deaths:
            self._deaths[key] = self._cause_of_death(claim)
        return self._deaths[key]

    def _cause_of_death(self, claim: Claim) -> str:
        own = bool(claim.job) and claim.job == self.task.job
        if own and claim.process.here and claim.process.pid in self._own_deaths:
            return self._own_deaths[claim.process.pid]
        unknown = "requeued" if own else "killed"
        return scheduler.cause_of_death(self.task.folder.jobs, claim.job, claim.since) or unknown


def kept_bytes(*, gpus: int) -> int:
    """Return the bytes of data that this job, which has one worker, may keep: a quarter of the memory it asked for."""
    kind, asked = "cuda" if gpus else "cpu", os.environ.get("SLURM_MEM_PER_NODE", "")  # in MiB; 0: all of the node's
    if not asked.isdigit() or not int(asked):
        return affordable(kind)
    return min(affordable(kind, workers=1), (int(asked) << 20) // 4)


def array_index() -> int:
    """Return the index of this job in its array, 0 outside of one."""
    index = os.environ.get("SLURM_ARRAY_TASK_ID", "")
    return int(index) if index.isdigit() else 0


def ended_by_slurm() -> str:
    """Return why SLURM ends this job, by slurmstepd's line in its standard error; '' if there is none."""
    return scheduler.cause_of_end(Path("/proc/self/fd/2"))
