"""Many runs on a cluster: a few jobs, each with a hand of runs, submitted as arrays through submitit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from scaling.dispatch import limits as guard
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, dispatches, new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import Entry, entries, read_queue, write_queue
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.slurm.cluster import Cluster, read_cluster
from scaling.dispatch.slurm.deal import Deal, Hand, deal
from scaling.dispatch.slurm.sbatch import TooMany, executor_for, patiently, sheet
from scaling.dispatch.slurm.snapshot import take_snapshot
from scaling.dispatch.slurm.worker import SlurmHand
from scaling.dispatch.states.attempts import failed_for_good, read_attempts
from scaling.dispatch.states.settled import settled
from scaling.dispatch.worker import TRAIN, Task
from scaling.errors import UserError
from scaling.folders import SweepFolder, check_writable
from scaling.plan.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from scaling.plan.planned import PlannedRun


@dataclass(frozen=True)
class Submission:
    """What was submitted: `jobs` by group (the last of a group is the closing job, which takes what is left over)."""

    name: str
    runs: int
    settled: int
    queued: int
    covered: int = 0
    hands: tuple[Hand, ...] = ()
    jobs: Mapping[str, tuple[str, ...]] | None = None
    held: str = ""
    blocked: int = 0
    folder: str = ""

    @property
    def job_ids(self) -> list[str]:
        """All jobs, as scancel takes them."""
        return [job for jobs in (self.jobs or {}).values() for job in jobs]

    def to_dict(self) -> dict[str, Any]:
        """Return the submission as plain JSON."""
        return asdict(self)


def submit(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Slurm,
    *,
    limits: Limits = UNLIMITED,
    forecast: Mapping[str, float] | None = None,
    memory: Mapping[str, float] | None = None,
    train: str = TRAIN,
) -> Submission:
    """Submit what of `runs` is neither settled nor in the queue already, and return at once.

    `forecast`: seconds, `memory`: bytes, both by run_id. Raises UserError where SLURM refuses.
    """
    cluster = _cluster()
    folder = SweepFolder(folder.results.resolve(), folder.name)
    check_writable(folder)
    planned = entries(folder, runs, forecast=forecast)
    covered = covered_runs(folder, planned)
    offer = guard.offer(limits, folder, planned, gpus=launcher.gpus, covered=covered)
    dealt = deal(offer.queue, launcher, memory=memory, limit=cluster.limit(launcher.partition))
    done = sum(settled(folder.run(entry.run_id), entry.keeps) for entry in planned)
    facts = Submission(
        name=folder.name,
        runs=len(planned),
        settled=done,
        queued=len(offer.queue),
        covered=len(covered),
        hands=dealt.hands,
        held=offer.held,
        blocked=offer.blocked,
    )
    if not offer.queue:
        return facts
    dispatch = new_dispatch(folder)
    submitter = Submitter(folder, dispatch, launcher, cluster, train)
    jobs = submitter.submit(dealt, offer, limits)
    return replace(facts, jobs=jobs, folder=str(dispatch.path))


def covered_runs(folder: SweepFolder, planned: Sequence[Entry]) -> set[str]:
    """Return the runs that jobs in SLURM's queue have before them, and that no run without a job starts from.

    What such a run starts from goes into the same queue as the run itself: its jobs can then wait for it, or do it.
    """
    found = _submitted(folder)
    for entry in reversed(planned):  # what a run needs stands before it
        if entry.run_id not in found and not settled(folder.run(entry.run_id), entry.keeps):
            found -= set(entry.needs)
    return found


def _submitted(folder: SweepFolder) -> set[str]:
    found: set[str] = set()
    states: dict[str, str] | None = None
    for files, dispatch in dispatches(folder):
        if dispatch.kind != "slurm" or dispatch.ended or files.stop.exists():
            continue
        states = scheduler.all_states() if states is None else states
        alive = {job.split("_")[0] for job, state in (states or {}).items() if state != "COMPLETING"}
        groups = {group for group, jobs in dispatch.groups.items() if alive & set(jobs)}
        for entry in read_queue(files.queue):
            tried = read_attempts(folder.run(entry.run_id))[entry.tried :]
            if entry.group in groups and not failed_for_good(tried, retries=int(dispatch.launcher.get("retries", 0))):
                found.add(entry.run_id)
    return {run_id for run_id in found if not folder.run(run_id).record.exists()}


class Submitter:
    """Writes what the jobs will read, then submits them group by group."""

    def __init__(
        self, folder: SweepFolder, dispatch: DispatchFolder, launcher: Slurm, cluster: Cluster, train: str
    ) -> None:
        self._folder = folder
        self._dispatch = dispatch
        self._launcher = launcher
        self._cluster = cluster
        self._train = train

    def submit(self, dealt: Deal, offer: guard.Offer, limits: Limits) -> dict[str, tuple[str, ...]]:
        """Submit every group; whatever was submitted before an error is on disk, and stays in the queue."""
        write_queue(self._dispatch.queue, dealt.queue)
        if self._launcher.snapshot:
            take_snapshot(self._dispatch.code, dealt.queue)
        facts = Dispatch(
            id=self._dispatch.path.name,
            kind="slurm",
            started=time.time(),
            process=this_process(),
            runs=len(dealt.queue),
            launcher=asdict(self._launcher),
            limits=limits,
            before=offer.before,
            held=offer.held,
        )
        self._dispatch.write(facts)
        for hand in dealt.hands:
            try:
                jobs = self._group(hand)
            except UserError:
                if not facts.jobs:
                    shutil.rmtree(self._dispatch.path)
                raise
            facts = replace(facts, jobs=(*facts.jobs, *jobs), groups={**facts.groups, hand.group: jobs})
            self._dispatch.write(replace(facts, workers=facts.workers + hand.jobs))
        return dict(facts.groups)

    def _group(self, hand: Hand) -> tuple[str, ...]:
        """Submit the arrays of one group, and a closing job that starts when they have ended."""
        jobs: list[str] = []
        left = hand.jobs
        chunk = min(left, self._cluster.max_array - 1)
        while left > 0:
            now = min(chunk, left)
            try:
                jobs.append(self._array(hand, now))
            except TooMany as refusal:
                if chunk == 1 or jobs:
                    if jobs:  # fewer jobs than wanted do the same work, later
                        break
                    raise UserError(str(refusal)) from None
                chunk //= 2
                continue
            left -= now
        dependency = "afterany:" + ":".join(jobs)
        try:
            jobs.append(self._array(hand, 1, dependency=dependency))
        except TooMany:
            return tuple(jobs)
        return tuple(jobs)

    def _array(self, hand: Hand, count: int, *, dependency: str | None = None) -> str:
        executor = executor_for(hand, self._launcher, self._dispatch, name=self._folder.name, dependency=dependency)
        task = self._task(hand)
        hands = [SlurmHand(task, self._dispatch, self._launcher.signal_seconds) for _ in range(count)]
        submitted = patiently(lambda: executor.submit_array(hands))
        return str(submitted[0].job_id).split("_")[0]

    def _task(self, hand: Hand) -> Task:
        return Task(
            folder=self._folder,
            queue=self._dispatch.queue,
            group=hand.group,
            gpus=self._launcher.gpus,
            retries=self._launcher.retries,
            beat_seconds=self._launcher.beat_seconds,
            patience=self._launcher.patience,
            train=self._train,
        )


@dataclass(frozen=True)
class Sheet:
    """One sbatch file that would be submitted, and the hand it is for."""

    hand: Hand
    text: str


def rehearse(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Slurm,
    *,
    limits: Limits = UNLIMITED,
    forecast: Mapping[str, float] | None = None,
    memory: Mapping[str, float] | None = None,
) -> list[Sheet]:
    """Return the sbatch files and hands that `submit` would make; touch nothing."""
    cluster = read_cluster()
    limit = None if cluster is None else cluster.limit(launcher.partition)
    planned = entries(folder, runs, forecast=forecast)
    offer = guard.offer(limits, folder, planned, gpus=launcher.gpus, covered=covered_runs(folder, planned))
    dealt = deal(offer.queue, launcher, memory=memory, limit=limit)
    dispatch = DispatchFolder(folder.jobs.resolve() / "DISPATCH")
    return [Sheet(hand, sheet(hand, launcher, dispatch, folder.name)) for hand in dealt.hands]


def _cluster() -> Cluster:
    cluster = read_cluster()
    if cluster is None:
        raise UserError(
            "found no SLURM that answers (sbatch, sinfo); wanted a login node of a cluster; "
            "go there, or take launcher=local"
        )
    return cluster
