"""`scaling probe launcher=slurm`: one short job measures the speed of the nodes that a sweep will get."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.slurm.deal import JobShare
from scaling.dispatch.slurm.sbatch import executor_for
from scaling.errors import UserError
from scaling.folders import SweepFolder, check_writable
from scaling.security.rights import kept_to_oneself

if TYPE_CHECKING:
    from scaling.forecast.speed import Speed


@dataclass(frozen=True)
class ProbeHere:
    """What the job does; submitit pickles it."""

    threads: int

    def __call__(self) -> Speed:
        """Measure the node's device."""
        from scaling.forecast.probe import probe_speed

        return probe_speed(threads=self.threads)


def probe_cluster(folder: SweepFolder, launcher: Slurm) -> Speed:
    """Submit one job with the launcher's resources, wait for it and return what it measured; UserError if it fails."""
    check_writable(folder)
    dispatch = new_dispatch(folder)
    share = JobShare("probe", 1, 0, 0.0, minutes=math.ceil(launcher.min_minutes), memory_gb=launcher.min_memory_gb)
    executor = executor_for(share, replace(launcher, snapshot=False), dispatch, name="scaling-probe")
    with kept_to_oneself():
        job = executor.submit(ProbeHere(launcher.threads))
    try:
        speed: Speed = job.result()
    except Exception as error:
        raise UserError(
            f"found that the probe's job {job.job_id} failed; wanted it to measure a node; see {job.paths.stderr}"
        ) from error
    return speed
