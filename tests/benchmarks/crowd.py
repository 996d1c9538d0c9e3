"""A thousand workers in front of one queue, in one process, on real files: a few are real, the others leave files.

All have a run in hand at any time, in turns; every third of the others is half as fast, so that runs are left for
those that are done sooner. What is counted of the real ones is all that they do beside training: starting, looking,
claiming, reading a run back, noting, releasing, and finding out that nothing is left.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from scaling.dispatch.claims.claim import HeldClaim, acquire
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.stacks.claim_stack import StackingWorker
from scaling.dispatch.states import index
from scaling.dispatch.states.index import Index, Line
from scaling.dispatch.states.settled import Settled
from scaling.dispatch.task import Task
from scaling.folders import RunFolder, SweepFolder
from scaling.plan.planned import PlannedRun
from scaling.record import Record

SAMPLE = 20  # real workers
NODE = 16  # workers on a machine, which share a file of the index
Write = Callable[[str], bytes]  # the record of a run, which is all that training leaves here
TRAIN = "tests.benchmarks.crowd:train"
FILE_EVENTS = {"open", "os.mkdir", "os.link", "os.remove", "os.rename", "os.rmdir", "os.scandir", "os.listdir"}


@dataclass(frozen=True)
class Overhead:
    """What the real workers did beside training: runs, CPU seconds (of which their start), operations on files."""

    runs: int
    seconds: float
    start: float
    operations: int


class Counted:
    """Operations on files by thread: opened, made, linked, renamed, removed, listed, asked for their facts."""

    def __init__(self) -> None:
        self.by_thread: dict[int, int] = {}
        self._stat = os.stat
        sys.addaudithook(self._hear)
        os.stat = self._stat_counted  # no event is made of it

    def taken(self) -> int:
        """Return what this thread has done since it last asked."""
        return self.by_thread.pop(threading.get_ident(), 0)

    def end(self) -> None:
        """Count no more calls of stat."""
        os.stat = self._stat

    def _add(self, count: int = 1) -> None:
        thread = threading.get_ident()
        self.by_thread[thread] = self.by_thread.get(thread, 0) + count

    def _hear(self, event: str, facts: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS:
            self._add()
        if event == "os.scandir" and str(facts[0]).endswith(".index"):  # each file there is asked for its length
            self._add(len(os.listdir(facts[0])) - 1)  # noqa: PTH208 - of one event more, taken off

    def _stat_counted(self, *of: Any, **how: Any) -> os.stat_result:
        self._add()
        return self._stat(*of, **how)


class Real:
    """A worker in a thread of its own, which goes on until its next run is to be trained whenever it is told to."""

    by_thread: ClassVar[dict[int, Real]] = {}

    def __init__(self, task: Task, write: Write, counted: Counted) -> None:
        self.counted, self.operations = counted, 0
        self.write, self.done, self.seconds, self.start = write, list[str](), 0.0, 0.0
        self.in_hand: PlannedRun | None = None
        self._go, self._told = threading.Semaphore(0), threading.Semaphore(0)
        self._since, self.over = 0.0, False
        self._thread = threading.Thread(target=self._work, args=(task,), daemon=True)

    def turn(self) -> bool:
        """Let it finish the run in hand and take another; False where it has left."""
        if self.over:
            return False
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._go.release()
        self._told.acquire()
        return not self.over

    def _work(self, task: Task) -> None:
        Real.by_thread[threading.get_ident()] = self
        self._since = time.thread_time()
        stop = Stop()
        StackingWorker(task, stop=stop, heartbeat=Heartbeat(stop)).work()
        self.seconds += time.thread_time() - self._since
        self.operations += self.counted.taken()
        self.over = True
        self._told.release()

    def train(self, run: PlannedRun, files: RunFolder) -> None:
        """Hold a run until the next turn, then leave its record; none of this is counted."""
        self.seconds += time.thread_time() - self._since
        self.start = self.start or self.seconds
        self.operations += self.counted.taken()
        self.in_hand = run
        self._told.release()
        self._go.acquire()
        files.record.write_bytes(self.write(run.run_id))
        self.done.append(run.run_id)
        self.counted.taken()
        self._since = time.thread_time()


def train(run: PlannedRun, files: RunFolder, **_: Any) -> Any:
    """Train a run as its worker's thread does here."""
    Real.by_thread[threading.get_ident()].train(run, files)
    return SimpleNamespace(status="finished")


class Other:
    """One of the others: its claims, its records, its lines in the index of its machine."""

    def __init__(
        self, folder: SweepFolder, place: int, share: Sequence[PlannedRun], write: Write, said: Sequence[Any]
    ) -> None:
        self.said = said
        self.folder, self.place, self.share, self.write = folder, place, deque(share), write
        self.held: tuple[PlannedRun, HeldClaim] | None = None
        self._index = Index(folder.results)
        self._log = folder.results / ".index" / f"node{place // NODE}.log"

    def turn(self, taken: set[str], rest: deque[PlannedRun]) -> str | None:
        """Settle the run in hand and take another; return which was settled."""
        settled = self._settle()
        for source in (self.share, rest):
            while self.held is None and source:
                run = source.popleft()
                if run.run_id not in taken:
                    self._take(run, taken)
        return settled

    def _settle(self) -> str | None:
        if self.held is None:
            return None
        (run, held), self.held = self.held, None
        files = self.folder.run(run.run_id)
        files.record.write_bytes(self.write(run.run_id))
        tried = Line(index.TRIED, run.run_id, {"token": held.claim.token, "gpu_seconds": 0.0})
        self._note([tried, Line(index.SETTLED, run.run_id, [*(self._index.stamp_of(run.run_id) or ()), *self.said])])
        held.release()
        return run.run_id

    def _take(self, run: PlannedRun, taken: set[str]) -> None:
        held = acquire(self.folder.run(run.run_id).claim, worker="other")
        if held is None:
            return
        taken.add(run.run_id)
        self.held = run, held
        facts = {"token": held.claim.token, "since": 0.0, "gpus": 0, "C": 1.0, "seconds": 1.0}
        self._note([Line(index.CLAIMED, run.run_id, facts)])

    def _note(self, lines: list[Line]) -> None:
        with self._log.open("ab") as file:
            file.write(index.text_of(lines))


def at_work(folder: SweepFolder, queue: Path, runs: Sequence[PlannedRun], workers: int, record: str) -> Overhead:
    """Let so many workers settle all runs of a queue; return what it took the real ones. record: that of the first."""
    said = Settled.of(Record.from_dict(json.loads(record))).to_list()

    def write(run_id: str) -> bytes:
        return record.replace(runs[0].run_id, run_id).encode()

    (folder.results / ".index").mkdir(exist_ok=True)
    real = {place * workers // SAMPLE for place in range(SAMPLE)}
    task = Task(folder=folder, queue=queue, workers=workers, train=TRAIN, since={})
    counted = Counted()
    crowd: list[Real | Other] = [
        Real(replace(task, place=place, name=f"worker {place}"), write, counted)
        if place in real
        else Other(folder, place, runs[place::workers], write, said)
        for place in range(workers)
    ]
    taken, rest, settled, turns = set[str](), deque(runs), 0, 0
    while settled < len(runs):
        for place, each in enumerate(crowd):
            if isinstance(each, Other):
                if place % 3 or turns % 2 == 0:
                    settled += each.turn(taken, rest) is not None
                continue
            known = len(each.done)
            if each.turn() and each.in_hand is not None:
                taken.add(each.in_hand.run_id)
            settled += len(each.done) - known
        turns += 1
    sample = [each for each in crowd if isinstance(each, Real)]
    for each in sample:  # nothing is left, which they find out
        while each.turn():
            pass
    counted.end()
    return Overhead(
        runs=sum(len(each.done) for each in sample),
        seconds=sum(each.seconds for each in sample),
        start=sum(each.start for each in sample) / len(sample),
        operations=sum(each.operations for each in sample),
    )
