"""Workers of this machine as submitit jobs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from submitit.local.local import LocalJob

from scaling.dispatch.local.forkserver import Forked, ForkOrder, ForkServer
from scaling.internals.submitit import LaunchingExecutor
from scaling.internals.submitit import process_of as submitted_process


class Workers(LaunchingExecutor):
    """submitit's local executor without its controller: jobs have no time limit and are forked by a server.

    environment: added to the jobs' environment. Ctrl-C reaches only the dispatcher, as workers have their own sessions.
    """

    def __init__(self, folder: Path, server: ForkServer, environment: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.server, self.environment = server, environment

    @classmethod
    def name(cls) -> str:
        """Return submitit's name of the job environment."""
        return "local"

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> LocalJob[Any]:
        """Submit a job and start it after its pickle is written, since it would look for that only once a second."""
        job = cast("LocalJob[Any]", super().submit(fn, *args, **kwargs))
        process_of(job).start()
        return job

    def launch(self, command: str) -> LocalJob[Any]:
        """Prepare a job; `submit` starts it after its pickle is written."""
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
        paths = LocalJob[Any](folder=self.folder, job_id=job_id).paths
        order = ForkOrder(
            folder=str(self.folder),
            stdout=str(paths.stdout),
            stderr=str(paths.stderr),
            environment={**os.environ, **facts, **self.environment},
            directory=str(Path.cwd()),
            path=sys.path,
        )
        return LocalJob(folder=self.folder, job_id=job_id, process=cast("Any", Forked(self.server, order)))


def process_of(job: LocalJob[Any]) -> Forked:
    """Return the process of a job that this process has submitted."""
    process: Any = submitted_process(job)
    assert isinstance(process, Forked), "a job of another session has no process here"
    return process
