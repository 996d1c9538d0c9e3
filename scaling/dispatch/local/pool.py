"""The workers of this machine: submitit jobs that are started ahead and wait for their queue."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scaling import devices
from scaling.dispatch import limits as guard
from scaling.dispatch.dispatches import Dispatch, DispatchFolder, new_dispatch
from scaling.dispatch.forkserver import fork_server
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.worker import LocalHand
from scaling.dispatch.process import this_process
from scaling.dispatch.queue import write_queue
from scaling.dispatch.worker import TRAIN, Task
from scaling.errors import UserError
from scaling.folders import SweepFolder, check_writable
from scaling.plan.limits import Limits

if TYPE_CHECKING:
    from submitit.local.local import LocalJob


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
        from scaling.dispatch.jobs import Workers

        environment = devices.thread_environment(self.launcher.threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[index % len(self.gpus)]
        executor = Workers(self.dispatch.path, fork_server(self.task.train, self.launcher.threads), environment)
        task = replace(self.task, name=f"worker {index}")
        self.jobs.append(executor.submit(LocalHand(task, self.dispatch, this_process())))

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
        from scaling.dispatch.jobs import process_of

        for job in self.jobs:
            process = process_of(job)
            process.kill()
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
