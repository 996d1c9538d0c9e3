"""The workers of this machine: submitit jobs that are started ahead and wait for their queue."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from submitit.local.local import LocalJob

from scaling import devices
from scaling.dispatch import limits as guard
from scaling.dispatch.dispatches import DispatchFolder, new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.capacity import workers_for
from scaling.dispatch.local.worker import LocalWorker
from scaling.dispatch.order import Order
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import write_queue
from scaling.dispatch.worker import Task
from scaling.folders import check_writable
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

    settings: Local
    dispatch: DispatchFolder
    task: Task
    gpus: tuple[str, ...]
    jobs: list[LocalJob[Any]] = field(default_factory=list)

    def start(self, index: int) -> None:
        """Start one worker; on GPU `index` modulo their number, where there are GPUs."""
        environment = devices.thread_environment(self.settings.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[index % len(self.gpus)]
        executor = Workers(folder=self.dispatch.path)
        executor.environment = environment
        task = replace(self.task, name=f"worker {index}")
        job = executor.submit(LocalWorker(task, self.dispatch, this_process()))
        self.jobs.append(cast("LocalJob[Any]", job))

    def give(self, offer: guard.Offer, limits: Limits) -> None:
        """Give the workers their queue."""
        facts = self.dispatch.begin(self.settings, offer, limits)
        self.dispatch.write(replace(facts, workers=len(self.jobs)))
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


def start_ahead(order: Order, settings: Local, *, most: int) -> Pool:
    """Start the workers, no more than `most`, so that they import torch while the caller makes their queue."""
    check_writable(order.folder)
    gpus = () if order.device == "cpu" else devices.gpus()
    dispatch = new_dispatch(order.folder)
    task = Task(
        folder=order.folder,
        queue=dispatch.queue,
        gpus=1 if gpus else 0,
        retries=settings.retries,
        beat_seconds=settings.beat_seconds,
        train=order.train,
    )
    pool = Pool(settings, dispatch, task, gpus)
    for index in range(workers_for(settings, gpus=len(gpus), most=most)):
        pool.start(index)
    return pool
