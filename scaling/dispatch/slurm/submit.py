"""Submit many runs to a cluster as a few jobs, in arrays through submitit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scaling.dispatch.claims.stop import read_stop_request
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, dispatches, new_dispatch, queued_elsewhere
from scaling.dispatch.launcher import Sheet
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.limits import Offer, offer_of
from scaling.dispatch.order import Order
from scaling.dispatch.queue import Entry, read_queue, write_queue
from scaling.dispatch.slurm.cluster import Cluster, needed_cluster, read_cluster
from scaling.dispatch.slurm.deal import Deal, JobShare, deal
from scaling.dispatch.slurm.sbatch import TooMany, executor_for, ignored_settings, sheet, submit_file
from scaling.dispatch.slurm.shared_answer import Answer, ask
from scaling.dispatch.slurm.snapshot import take_snapshot
from scaling.dispatch.slurm.worker import SlurmJob
from scaling.dispatch.states.attempts import failed_for_good, read_attempts
from scaling.dispatch.task import Task
from scaling.errors import UserError
from scaling.folders import check_writable
from scaling.numbers import many
from scaling.security.rights import owner_only


@dataclass(frozen=True)
class Submission:
    """The result of a submission.

    queued, covered: runs submitted now, and runs already queued in live jobs; hands: the jobs of each group (so called
    in the JSON of version 0.1.0); jobs: their ids by group, the last of a group being the closing job, which trains
    what is left over; held: why some runs are not started, or ''; blocked: runs whose parents diverged too early.
    """

    name: str
    runs: int
    settled: int
    queued: int
    covered: int = 0
    hands: tuple[JobShare, ...] = ()
    jobs: Mapping[str, tuple[str, ...]] | None = None
    held: str = ""
    blocked: int = 0
    folder: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def job_ids(self) -> list[str]:
        """The ids of all jobs."""
        return [job for jobs in (self.jobs or {}).values() for job in jobs]

    def sentences(self) -> tuple[str, ...]:
        """Return the result in sentences."""
        lines = [
            f"{many(self.queued, 'run')} submitted in {many(len(self.job_ids), 'job')} ({self.settled:,} of "
            f"{self.runs:,} are settled, {self.covered:,} are in SLURM's queue already)"
        ]
        lines += [f"  {group}: {' '.join(jobs)}" for group, jobs in (self.jobs or {}).items()]
        if self.held:
            lines.append(self.held)
        if self.blocked:
            lines.append(f"{many(self.blocked, 'run')} blocked: what they start from diverged too early")
        return (*lines, *self.warnings)


def submit(order: Order, settings: Slurm) -> Submission:
    """Submit the runs that are neither settled nor queued, without waiting for them; UserError if SLURM refuses."""
    cluster = needed_cluster()
    check_writable(order.folder)
    covered, offer, dealt = _dealt(order, settings, cluster)
    facts = Submission(
        name=order.folder.name,
        runs=len(order.entries),
        settled=len(order.entries) - len(order.open_entries),
        queued=len(offer.queue),
        covered=len(covered),
        hands=dealt.shares,
        held=offer.held,
        blocked=offer.blocked,
        warnings=(*ignored_settings(), *_long_runs(offer.queue, dealt)),
    )
    if not offer.queue:
        return facts
    dispatch = new_dispatch(order.folder)
    submitter = Submitter(order, offer, dealt, dispatch, settings, most=cluster.max_array - 1)
    jobs = submitter.submit()
    return replace(facts, jobs=jobs, folder=str(dispatch.path), warnings=(*facts.warnings, *submitter.unclosed()))


def rehearse(order: Order, settings: Slurm) -> list[Sheet]:
    """Return the sbatch files that `submit` would make, without submitting or writing anything."""
    _, _, dealt = _dealt(order, settings, read_cluster())
    dispatch = DispatchFolder(order.folder.jobs / "DISPATCH")
    return [Sheet(share.title, sheet(share, settings, dispatch, order.folder.name)) for share in dealt.shares]


def _dealt(order: Order, settings: Slurm, cluster: Cluster | None) -> tuple[set[str], Offer, Deal]:
    """Return the runs that are queued in live jobs, the offered runs, and their jobs."""
    covered = covered_runs(order)
    promised = queued_elsewhere(order.folder) if order.limits else ()
    offer = offer_of(order, gpus=settings.gpus, covered=covered, promised=promised)
    limit = None if cluster is None else cluster.limit(settings.partition)
    return covered, offer, deal(offer.queue, settings, memory=order.memory, limit=limit)


def covered_runs(order: Order) -> set[str]:
    """Return the runs that are queued in live jobs, except parents of runs that are not.

    Such parents are queued again together with their children, so that the new jobs can wait for them or train them.
    """
    found = _queued_in_live_jobs(order)
    for entry in reversed(order.entries):  # parents come before their children
        if entry.run_id not in found and not order.settled.done(entry.run_id, entry.keeps):
            found -= set(entry.needs)
    return found


def _queued_in_live_jobs(order: Order) -> set[str]:
    """Return the unsettled runs that live jobs will still try; UserError if SLURM does not say which jobs live."""
    folder = order.folder
    found: set[str] = set()
    answer: Answer | None = None
    for files, dispatch in dispatches(folder):
        request = read_stop_request(files.stop)
        if not dispatch.jobs or dispatch.ended or (request is not None and request.runs is None):
            continue
        if answer is None:
            answer = ask({dispatch.user for _, dispatch in dispatches(folder)})
        states = answer.of([(files, dispatch)]).states
        if states is None:
            raise UserError(
                f"found that SLURM does not say which jobs are queued (squeue), while {folder.path} has some that may "
                f"be; wanted to submit nothing twice; try again when it answers"
            )
        alive = {job.split("_")[0] for job, state in states.items() if state != "COMPLETING"}
        groups = {group for group, jobs in dispatch.groups.items() if alive & set(jobs)}
        for entry in read_queue(files.queue) if groups else ():
            if order.settled.get(entry.run_id) is not None or (request and entry.run_id in (request.runs or ())):
                continue
            try:
                tried = read_attempts(folder.run(entry.run_id))
            except OSError:  # out of reach, which the workers report
                tried = []
            retries = int(dispatch.launcher.get("retries", 0))
            ended = failed_for_good(tried[entry.tried :], retries=retries, before=tried[: entry.tried])
            if entry.group in groups and not ended:
                found.add(entry.run_id)
    return found


class Submitter:
    """Writes the files that jobs read, then submits the jobs group by group."""

    def __init__(
        self, order: Order, offer: Offer, dealt: Deal, dispatch: DispatchFolder, settings: Slurm, *, most: int
    ) -> None:
        self._order, self._offer, self._dealt, self._dispatch, self._settings = order, offer, dealt, dispatch, settings
        self._most = most  # jobs of one array
        self._facts = dispatch.begin(settings, offer, order.limits)
        self._unclosed: list[str] = []  # groups whose closing job was refused

    def submit(self) -> dict[str, tuple[str, ...]]:
        """Submit every group, writing each accepted job to disk before the next is submitted."""
        try:
            write_queue(self._dispatch.queue, self._dealt.queue)
            if self._settings.snapshot:
                take_snapshot(self._dispatch.code, self._dealt.queue, self._order.folder)
            self._write(self._facts)
            for share in self._dealt.shares:
                self._group(share)
        except (OSError, UserError, KeyboardInterrupt) as error:
            if not self._facts.jobs:
                shutil.rmtree(self._dispatch.path)
            if not self._facts.jobs or isinstance(error, KeyboardInterrupt):
                raise
            accepted = " ".join(self._facts.jobs)
            raise UserError(f"{error}; the jobs {accepted} were accepted before, and train their share") from error
        return dict(self._facts.groups)

    def _write(self, facts: Dispatch) -> None:
        self._facts = facts
        self._dispatch.write(facts)

    def _accept(self, share: JobShare, job: str, *, workers: int) -> None:
        facts = self._facts
        groups = {**facts.groups, share.group: (*facts.groups.get(share.group, ()), job)}
        self._write(replace(facts, jobs=(*facts.jobs, job), groups=groups, workers=facts.workers + workers))

    def _group(self, share: JobShare) -> None:
        """Submit the arrays of one group, and a closing job that starts when they have ended."""
        jobs: list[str] = []
        most = self._most
        while not jobs:
            wanted, first = arrays(share.jobs, share.parallel, most), 0
            try:
                for count, parallel in wanted:
                    jobs.append(self._array(share, count, parallel=parallel, first=first))
                    first += parallel
            except TooMany as refusal:  # if some were accepted, they do the same work, later
                if not jobs and wanted[0][0] == 1:
                    raise UserError(str(refusal)) from None
                most = wanted[0][0] // 2
        try:
            self._array(share, 1, dependency="afterany:" + ":".join(jobs))
        except TooMany:
            self._unclosed.append(share.group)

    def unclosed(self) -> list[str]:
        """Return sentences on groups whose closing job SLURM has refused."""
        lost = ", and the command of on_end is not run" if self._order.on_end else ""
        return [
            f"SLURM takes no more jobs of yours: {group} has no closing job, so what its jobs leave over stays{lost}; "
            f"give the same command again when they have ended"
            for group in self._unclosed
        ]

    def _array(
        self, share: JobShare, count: int, *, parallel: int = 1, first: int = 0, dependency: str | None = None
    ) -> str:
        """Submit an array of jobs, record them as soon as SLURM has accepted them, and return their id.

        parallel: how many run at a time; first: number of the first one among the workers of the queue.
        """

        def give(file: Path) -> str:
            job = submit_file(file)
            self._accept(share, job, workers=0 if dependency else count)
            return job

        asked, name = replace(share, parallel=parallel), self._order.folder.name
        executor = executor_for(asked, self._settings, self._dispatch, name=name, dependency=dependency, give=give)
        task = replace(self._task(share), place=first)
        on_end = ""
        if dependency is not None:  # the closing job, the only one at its time
            on_end, task = self._order.on_end, replace(task, workers=1)
        work = [
            SlurmJob(task, self._dispatch, self._settings.signal_seconds, on_end, len(self._dealt.shares))
            for _ in range(count)
        ]
        with owner_only():
            submitted = executor.submit_array(work)
        return str(submitted[0].job_id).split("_")[0]

    def _task(self, share: JobShare) -> Task:
        return Task(
            folder=self._order.folder,
            queue=self._dispatch.queue,
            group=share.group,
            gpus=self._settings.gpus,
            retries=self._settings.retries,
            beat_seconds=self._settings.beat_seconds,
            patience=self._settings.patience,
            stuck_minutes=self._settings.stuck_minutes,
            train=self._order.train,
            workers=min(share.jobs, share.parallel),
            limits=self._order.limits,
            before=self._offer.before,
        )


def arrays(jobs: int, parallel: int, most: int) -> list[tuple[int, int]]:
    """Return (size, number at a time) of the arrays for a number of jobs, of which `parallel` run at a time in all.

    most: jobs of one array. There are at most `parallel` arrays; if that makes fewer jobs, they do the same work.
    """
    sizes = [min(max(1, most), jobs - first) for first in range(0, jobs, max(1, most))][: max(1, parallel)]
    shares = [(parallel + number) // len(sizes) for number in reversed(range(len(sizes)))]
    return list(zip(sizes, shares, strict=True))


def _long_runs(queue: Sequence[Entry], dealt: Deal) -> list[str]:
    """Return a sentence about runs that are longer than a job's time limit, if there are some."""
    minutes = {share.group: share.minutes for share in dealt.shares}
    groups = {entry.run_id: entry.group for entry in dealt.queue}
    long = [entry for entry in queue if (entry.forecast_seconds or 0.0) > 60 * minutes[groups[entry.run_id]]]
    if not long:
        return []
    return [
        f"{many(len(long), 'run')} forecast to outlast a job's time limit: they go on from checkpoints, job after job"
    ]
