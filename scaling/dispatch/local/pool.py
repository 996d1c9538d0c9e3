"""The workers of this machine: submitit jobs, started early, that wait for their queue."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scaling import devices
from scaling.dispatch.dispatches import DispatchFolder, new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.limits import Offer
from scaling.dispatch.local.capacity import gpus_for, workers_for, workers_per_gpu
from scaling.dispatch.local.forkserver import fork_server
from scaling.dispatch.local.worker import LocalWorker
from scaling.dispatch.order import Order
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import write_queue
from scaling.dispatch.task import Task
from scaling.folders import check_writable
from scaling.limits import Limits
from scaling.security.rights import owner_only

if TYPE_CHECKING:
    from submitit.local.local import LocalJob


@dataclass
class Pool:
    """The started workers of a dispatch; places: their numbers by job id; stacks: some runs may be trained together."""

    settings: Local
    dispatch: DispatchFolder
    task: Task
    gpus: tuple[str, ...]
    jobs: list[LocalJob[Any]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    stacks: bool = False

    def start(self, place: int) -> None:
        """Start worker number `place`, on GPU number `place` modulo the number of GPUs if there are some."""
        from scaling.dispatch.local.jobs import Workers

        environment = devices.thread_environment(self.settings.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
        server = fork_server(self.task.train, self.settings.threads)
        executor = Workers(self.dispatch.path, server, environment)
        task = replace(self.task, name=f"worker {len(self.jobs)}", place=place)
        with owner_only():
            self.jobs.append(executor.submit(LocalWorker(task, self.dispatch, this_process())))
        self.places[self.jobs[-1].job_id] = place

    def start_another(self, ended: LocalJob[Any]) -> None:
        """Replace a worker that has ended, on the same GPU."""
        self.start(self.places[ended.job_id])

    def give(self, offer: Offer, limits: Limits) -> None:
        """Give the workers their queue."""
        facts = self.dispatch.begin(self.settings, offer, limits)
        self.dispatch.write(replace(facts, workers=len(self.jobs)))
        self.stacks = any(entry.stack_key for entry in offer.queue)
        write_queue(self.dispatch.queue, offer.queue)

    def close(self) -> None:
        """Kill the remaining workers, whose checkpoints stay, and note that the dispatch has ended."""
        from scaling.dispatch.local.jobs import process_of

        for job in self.jobs:
            process = process_of(job)
            process.kill()
            process.wait()
        facts = self.dispatch.read()
        if facts is None:
            shutil.rmtree(self.dispatch.path, ignore_errors=True)  # it may have been moved
        else:
            self.dispatch.write(replace(facts, ended=True))


def start_ahead(order: Order, settings: Local, *, most: int) -> Pool:
    """Start at most `most` workers, so that they import torch while the caller makes their queue."""
    check_writable(order.folder)
    gpus = gpus_for({entry.device for entry in order.entries})
    dispatch = new_dispatch(order.folder)
    task = Task(
        folder=order.folder,
        queue=dispatch.queue,
        gpus=1 if gpus else 0,
        retries=settings.retries,
        beat_seconds=settings.beat_seconds,
        stuck_minutes=settings.stuck_minutes,
        train=order.train,
    )
    pool = Pool(settings, dispatch, task, gpus)
    per_gpu = _workers_per_gpu(order, settings) if gpus else 1
    for place in range(workers_for(settings, gpus=len(gpus), most=most, per_gpu=per_gpu)):
        pool.start(place)
    return pool


def _workers_per_gpu(order: Order, settings: Local) -> int:
    return workers_per_gpu(
        settings.threads,
        work=[(entry.C, entry.forecast_seconds) for entry in order.open_entries],
        memory=order.memory.values(),
        stacked=any(entry.stack_key for entry in order.entries),
    )
