"""Many runs on this machine: a fixed number of workers, each a submitit job, in front of one queue."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from submitit.local.local import LocalExecutor, LocalJob

from scaling.dispatch import devices
from scaling.dispatch import limits as guard
from scaling.dispatch.hand import LocalHand
from scaling.dispatch.launchers import UNLIMITED, Limits, Local
from scaling.dispatch.outcome import Failure, Outcome
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import entries, write_queue
from scaling.dispatch.reader import Reader
from scaling.dispatch.records import settled
from scaling.dispatch.registry import Dispatch, DispatchFolder, new_dispatch
from scaling.dispatch.state import BLOCKED, Planned, State, Status
from scaling.dispatch.supervisor import Supervisor
from scaling.dispatch.worker import TRAIN, Task
from scaling.errors import UserError
from scaling.folders import SweepFolder

if TYPE_CHECKING:
    from scaling.dispatch.show import View
    from scaling.plan import PlannedRun


class Workers(LocalExecutor):
    """submitit's local executor without its controller: no time limit, GPUs assigned, threads set before numpy starts.

    Ctrl-C reaches the dispatcher alone (workers have a session of their own).
    """

    environment: Mapping[str, str] = {}

    @classmethod
    def name(cls) -> str:
        """submitit's name of the job environment."""
        return "local"

    def _submit_command(self, command: str) -> LocalJob[Any]:
        job_id = f"{os.getpid()}{time.time_ns() % 10**9:09d}"
        facts = {
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_JOB_ID": job_id,
            "SUBMITIT_LOCAL_NTASKS": "1",
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_LOCAL_NODEID": "0",
            "SUBMITIT_LOCAL_GLOBALID": "0",
            "SUBMITIT_LOCAL_LOCALID": "0",
        }
        job: LocalJob[Any] = LocalJob(folder=self.folder, job_id=job_id)
        with job.paths.stdout.open("a") as out, job.paths.stderr.open("a") as err:
            process = subprocess.Popen(
                shlex.split(command),
                env={**os.environ, **facts, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return LocalJob(folder=self.folder, job_id=job_id, process=process)


@dataclass
class Pool:
    """Workers that have been started and wait for their queue."""

    folder: SweepFolder
    launcher: Local
    dispatch: DispatchFolder
    task: Task
    gpus: tuple[str, ...]
    jobs: list[LocalJob[Any]] = field(default_factory=list)

    def start(self, index: int) -> None:
        """Start one worker; on GPU `index` modulo their number, where there are GPUs."""
        environment = devices.thread_environment(self.launcher.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[index % len(self.gpus)]
        executor = Workers(folder=self.dispatch.path)
        executor.environment = environment
        task = replace(self.task, name=f"worker {index}")
        job = executor.submit(LocalHand(task, self.dispatch, this_process()))
        self.jobs.append(cast("LocalJob[Any]", job))

    def give(self, offer: guard.Offer, limits: Limits) -> None:
        """Give the workers their queue."""
        facts = Dispatch(
            id=self.dispatch.path.name,
            kind="local",
            started=time.time(),
            process=this_process(),
            workers=len(self.jobs),
            runs=len(offer.queue),
            launcher=asdict(self.launcher),
            limits=limits,
            before=offer.before,
            held=offer.held,
        )
        self.dispatch.write(facts)
        write_queue(self.dispatch.queue, offer.queue)

    def close(self) -> None:
        """End the workers at once (a checkpoint holds what they had) and note that the dispatch has ended."""
        for job in self.jobs:
            process = worker_process(job)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        facts = self.dispatch.read()
        if facts is None:
            shutil.rmtree(self.dispatch.path)
        else:
            self.dispatch.write(replace(facts, ended=True))


def worker_process(job: LocalJob[Any]) -> subprocess.Popen[bytes]:
    """Return the process of a worker."""
    process = job._process
    assert process is not None, "a job of another session has no process here"
    return process


def start_ahead(
    folder: SweepFolder, launcher: Local, *, device: str = "auto", most: int | None = None, train: str = TRAIN
) -> Pool:
    """Start the workers, so that they import torch while the caller still plans; `most`: no more than that many."""
    folder = SweepFolder(folder.results.resolve(), folder.name)
    check_writable(folder)
    gpus = () if device == "cpu" else devices.gpus()
    dispatch = new_dispatch(folder)
    task = Task(
        folder=folder,
        queue=dispatch.queue,
        gpus=1 if gpus else 0,
        retries=launcher.retries,
        beat_seconds=launcher.beat_seconds,
        train=train,
    )
    pool = Pool(folder, launcher, dispatch, task, gpus)
    for index in range(workers_for(launcher, gpus=len(gpus), most=most)):
        pool.start(index)
    return pool


def workers_for(launcher: Local, *, gpus: int, most: int | None = None) -> int:
    """Return how many workers to start: what is set, or one a GPU, or one for each `threads` cores."""
    if launcher.threads < 1 or (launcher.workers is not None and launcher.workers < 1):
        raise UserError(
            f"found launcher.workers={launcher.workers} and launcher.threads={launcher.threads}; "
            f"wanted at least 1 of each; change it"
        )
    natural = gpus or max(1, devices.cores() // launcher.threads)
    wanted = launcher.workers or natural
    return wanted if most is None else max(1, min(wanted, most))


def run_local(
    folder: SweepFolder,
    runs: Sequence[PlannedRun],
    launcher: Local,
    *,
    limits: Limits = UNLIMITED,
    forecast: Mapping[str, float] | None = None,
    pool: Pool | None = None,
    view: View | None = None,
    train: str = TRAIN,
) -> Outcome:
    """Train on this machine what of `runs` is not settled, and return how it ended.

    `forecast`: seconds by run_id; `pool`: workers started ahead (they are used up); `view`: see `show.view`.
    """
    begun = time.monotonic()
    folder = SweepFolder(folder.results.resolve(), folder.name)
    device = next((run.config.train.device for run in runs if run.config.train.device != "cpu"), "cpu")
    gpus = 1 if device != "cpu" and devices.gpus() else 0
    open_runs = sum(not folder.run(run.run_id).record.exists() for run in runs)
    if open_runs and pool is None:  # torch starts in the workers while the queue is made here
        pool = start_ahead(folder, launcher, device=device, most=open_runs, train=train)
    planned = entries(folder, runs, forecast=forecast)
    offer = guard.offer(limits, folder, planned, gpus=gpus)
    reader = Reader(folder, [Planned(e.run_id, e.label, e.C, e.forecast_seconds, e.needs, e.step) for e in planned])
    found = sum(settled(folder.run(entry.run_id), entry.keeps) for entry in planned)
    stopped, held = False, offer.held
    if offer.queue:
        pool = pool or start_ahead(folder, launcher, device=device, most=len(offer.queue), train=train)
        pool.give(offer, limits)
        supervisor = Supervisor(pool, reader, view)
        stopped = supervisor.until_done()
        held = held or supervisor.held
    elif pool is not None:
        pool.close()
    return replace(outcome_of(reader.read()), found=found, held=held, stopped=stopped, seconds=time.monotonic() - begun)


def outcome_of(status: Status) -> Outcome:
    """Return how a dispatch ended, from the state of its runs when its workers are gone."""
    failures = tuple(Failure(run.run_id, run.label, run.cause, run.error) for run in status.of(State.FAILED))
    elsewhere = status.counts["running"]
    blocked = sum(run.cause == BLOCKED for run in status.runs)
    return Outcome(len(status.runs), status.settled, 0, failures, elsewhere, blocked=blocked)


def check_writable(folder: SweepFolder) -> None:
    """Raise UserError where results cannot be written."""
    probe = folder.path / f".writable.{os.uname().nodename}.{os.getpid()}"
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
    except OSError as error:
        raise UserError(
            f"found that {folder.path} cannot be written ({error.strerror}); wanted a folder for the results; "
            f"mend that, or give results=DIR"
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
