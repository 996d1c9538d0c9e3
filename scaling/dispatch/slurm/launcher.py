"""The launcher for a cluster with SLURM: few jobs, each with a share of many runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.launcher import Capacity, Dispatched, Launcher, Sheet
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.order import Order
from scaling.dispatch.slurm import scheduler
from scaling.errors import UserError
from scaling.folders import SweepFolder

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.dispatch.show import View
    from scaling.forecast.speed import Speed

# Options of sbatch that keys of the launcher set, which also plan with them, and those that are set for each job.
ELSEWHERE = {  # options of sbatch that are set elsewhere -> what to do
    "time": "give launcher.minutes",
    "mem": "give launcher.memory_gb",
    "cpus-per-task": "give launcher.cpus",
    "gpus-per-node": "give launcher.gpus",
    "signal": "give launcher.signal_seconds",
    "wait": "give --wait to `scaling run`",  # jobs would wait for files that are written after sbatch has returned
    "test-only": "give --dry-run to `scaling run`",
    **dict.fromkeys(("array", "dependency", "job-name", "output", "error"), "drop it"),
}


class SlurmLauncher(Launcher):
    """Submits jobs and returns; they continue by themselves."""

    def __init__(self, settings: Slurm) -> None:
        self._settings = settings

    def check(self, configs: Collection[RunConfig]) -> None:
        """Check the extra options, and that SLURM answers: devices and data are those of the nodes."""
        from scaling.dispatch.slurm.cluster import needed_cluster

        _check_extra(self._settings)
        needed_cluster()

    def capacity(self, devices: Collection[str], runs: int) -> Capacity:
        """Return how many jobs run at a time, and the name under which their nodes' speed is kept."""
        return Capacity(self._settings.jobs or self._settings.max_jobs, self._settings.speed_name)

    def submit(self, order: Order, view: View) -> Dispatched:
        """Submit the runs that are neither settled nor queued; UserError if SLURM refuses."""
        from scaling.dispatch.slurm.submit import submit

        found = submit(order, self._settings)
        return Dispatched(None, asdict(found), found.sentences(), found=found.settled, held=found.held)

    def rehearse(self, order: Order) -> list[Sheet]:
        """Return the sbatch files that `submit` would make."""
        from scaling.dispatch.slurm.submit import rehearse

        return rehearse(order, self._settings)

    def job_states(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> dict[str, str] | None:
        """Return squeue's answer, which is shared between the processes of a sweep."""
        from scaling.dispatch.slurm.shared_answer import answer_on

        states = answer_on(dispatches).states
        return None if states is None else dict(states)

    def trouble(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> list[str]:
        """Return sentences on jobs that wait for unusual reasons, or ended before they trained."""
        from scaling.dispatch.slurm.diagnosis import diagnose_jobs

        return diagnose_jobs(dispatches)

    def cancel(self, files: DispatchFolder, dispatch: Dispatch) -> list[str]:
        """Call scancel for the jobs that are left."""
        from scaling.dispatch.slurm.shared_answer import ask

        states = ask({dispatch.user}).of([(files, dispatch)]).states
        if states is None:
            raise UserError("found that squeue fails; wanted SLURM's controller to answer; try again")
        jobs = [job for job in dispatch.jobs if any(job == known.split("_")[0] for known in states)]
        for job in jobs:
            if scheduler.ask(["scancel", job]) is None:
                raise UserError(f"found that scancel {job} fails; wanted SLURM's controller to answer; try again")
        return jobs

    def probe(self, folder: SweepFolder, device: str) -> Speed:
        """Measure a node in a job; UserError if a device is named, because a job uses its node's device."""
        from scaling.dispatch.slurm.probe import probe_cluster
        from scaling.forecast.speed import keep_speed

        if device != "auto":
            raise UserError(f"found --device {device} with launcher=slurm; wanted none: a job takes what its node has")
        speed = probe_cluster(folder, self._settings)
        keep_speed(speed, partition=self._settings.speed_name)
        return speed

    def describe(self) -> list[str]:
        """Return lines that describe the cluster."""
        from scaling.dispatch.slurm.cluster import describe_cluster

        return describe_cluster()


def _check_extra(settings: Slurm) -> None:
    """Raise UserError for extra options that are set elsewhere; dispatches of earlier versions may have them."""
    for option in (name.replace("_", "-") for name in settings.extra):
        if option in ELSEWHERE:
            advice = ELSEWHERE[option]
            raise UserError(f"found {option} in launcher.extra; wanted options that nothing else sets; {advice}")
