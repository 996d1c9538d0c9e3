"""The worker that submitit pickles, and its start in its own process."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass, replace

from scaling.data.memory import MEMORY, affordable
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop, orphan_check, stop_file_check
from scaling.dispatch.dispatches import DispatchFolder, with_limits
from scaling.dispatch.process import Process
from scaling.dispatch.stacks.claim_stack import StackingWorker
from scaling.dispatch.states.paused import pause_check
from scaling.dispatch.task import Report, Task, load
from scaling.folders import Place, exists
from scaling.security.rights import shared_as
from scaling.security.trust import trust_all
from scaling.security.worker_reuse import begin_work


@dataclass(frozen=True)
class LocalWorker:
    """A worker on this machine, which ends when the stop file says so or its dispatcher has died."""

    task: Task
    dispatch: DispatchFolder
    parent: Process

    def __call__(self) -> Report:
        """Train runs until none is left."""
        trust_all()  # the code named in the queue was checked when it was planned
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        stop = Stop()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the dispatcher handles Ctrl-C, and writes the stop file
        signal.signal(signal.SIGTERM, lambda *_: stop.say("interrupted"))
        folder = self.task.folder
        checks = (stop_file_check(self.dispatch.stop), pause_check(folder.paused), orphan_check(self.parent))
        heartbeat = Heartbeat(stop, checks, home=Place(folder.results))
        heartbeat.start()
        load(self.task.train)  # imports torch while the dispatcher makes the queue
        begin_work()
        while not exists(self.task.queue) and not stop.reason:  # as long as the dispatcher lives
            time.sleep(0.01)
        if not exists(self.task.queue):
            return Report(reason=stop.reason)
        task = replace(self.task, job=os.environ.get("SUBMITIT_LOCAL_JOB_ID", ""))
        task = with_limits(task, self.dispatch)
        MEMORY.limit = affordable("cuda" if task.gpus else "cpu", workers=task.workers)
        with shared_as(task.folder.results):
            return StackingWorker(task, stop=stop, heartbeat=heartbeat).work()
