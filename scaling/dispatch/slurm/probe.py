"""`scaling probe launcher=slurm`: measure in a short job the speed of the nodes that a sweep will use."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.slurm.deal import JobShare
from scaling.dispatch.slurm.diagnosis import ALWAYS
from scaling.dispatch.slurm.sbatch import executor_for
from scaling.dispatch.slurm.shared_answer import FRESH
from scaling.errors import UserError
from scaling.folders import SweepFolder, check_writable, exists
from scaling.security.rights import owner_only

if TYPE_CHECKING:
    from submitit import Job

    from scaling.forecast.speed import Speed

log = logging.getLogger(__name__)
LOOK = 0.2  # seconds between two checks for the job's result
LATE = 2  # checks of the queue by which a network file may appear after the end of its job


@dataclass(frozen=True)
class ProbeHere:
    """The work of the job, which submitit pickles."""

    threads: int

    def __call__(self) -> Speed:
        """Measure the node's device."""
        from scaling.forecast.probe import probe_speed

        return probe_speed(threads=self.threads)


def probe_cluster(folder: SweepFolder, launcher: Slurm) -> Speed:
    """Submit one job with the launcher's resources, and return the speed that it measures; UserError if it fails."""
    check_writable(folder)
    dispatch = new_dispatch(folder)
    minutes, memory = math.ceil(launcher.min_minutes), launcher.min_memory_gb
    share = JobShare(group="probe", jobs=1, runs=0, seconds=0.0, minutes=minutes, memory_gb=memory)
    executor = executor_for(share, replace(launcher, snapshot=False), dispatch, name="scaling-probe")
    with owner_only():
        job = executor.submit(ProbeHere(launcher.threads))
    try:
        _wait_for(job)
        speed: Speed = job.result()
    except KeyboardInterrupt:
        scheduler.ask(["scancel", job.job_id])
        raise
    except Exception as error:
        raise _failed(job) from error
    return speed


def _wait_for(job: Job[Speed]) -> None:
    """Wait for a job's result, and log why it waits in the queue; UserError if it ended without a result.

    submitit's own wait needs sacct, which not every cluster has.
    """
    logged, missing = "", 0
    while not exists(job.paths.result_pickle):
        jobs = scheduler.all_jobs()
        missing = missing + 1 if jobs is not None and job.job_id not in jobs else 0
        if missing > LATE:
            raise _failed(job)
        reason = jobs[job.job_id].reason if jobs and not missing else ""
        if reason not in (logged, *ALWAYS):
            log.warning("job %s waits in SLURM's queue: %s", job.job_id, reason)
            logged = reason
        until = time.monotonic() + FRESH
        while time.monotonic() < until and not exists(job.paths.result_pickle):
            time.sleep(LOOK)


def _failed(job: Job[Speed]) -> UserError:
    return UserError(
        f"found that the probe's job {job.job_id} failed; wanted it to measure a node; see {job.paths.stderr}"
    )
