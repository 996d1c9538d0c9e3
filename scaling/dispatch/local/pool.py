"""The workers of this machine: submitit jobs that are started ahead and wait for their queue."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from submitit.local.local import LocalJob

from scaling import devices
from scaling.dispatch import limits as guard
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.worker import LocalHand
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import write_queue
from scaling.dispatch.worker import TRAIN, Task
from scaling.errors import UserError
from scaling.folders import SweepFolder, check_writable
from scaling.internals.submitit import LaunchingExecutor, process_of
from scaling.plan.limits import Limits


class Workers(LaunchingExecutor):
    """submitit's local executor without its controller: no time limit, GPUs assigned, threads set before numpy starts.

    Ctrl-C reaches the dispatcher alone (workers have a session of their own).
    """

    environment: Mapping[str, str] = {}

    @classmethod
    def name(cls) -> str:
        """submitit's name of the job environment."""
        return "local"

    def launch(self, command: str) -> LocalJob[Any]:
        """Start a worker in a session of its own."""
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
            process = process_of(job)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        facts = self.dispatch.read()
        if facts is None:
            shutil.rmtree(self.dispatch.path)
        else:
            self.dispatch.write(replace(facts, ended=True))


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
