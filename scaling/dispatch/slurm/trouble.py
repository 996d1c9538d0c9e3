"""What keeps jobs from training: why they wait, by squeue, and what they wrote before they ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.slurm.shared_answer import answer_on

USUAL = ("None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit", "Cleaning", "Prolog")
MOST = 3  # jobs of a dispatch that are told


def jobs_in_trouble(dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> list[str]:
    """Return a sentence for each job that waits for an unusual reason, or ended before its worker could report."""
    waiting = answer_on(dispatches).reasons
    found: list[str] = []
    for files, dispatch in dispatches:
        told = [*_waits(dispatch, waiting or {}), *_ended_early(files, dispatch, waiting)]
        found += told[:MOST]
        if len(told) > MOST:
            found.append(f"and {len(told) - MOST} more jobs of {dispatch.id} alike")
    return found


def _waits(dispatch: Dispatch, waiting: Mapping[str, str]) -> Iterator[str]:
    for job, reason in waiting.items():
        if job.partition("_")[0] in dispatch.jobs and reason and reason.strip("()") not in USUAL:
            yield f"job {job} waits in SLURM's queue: {reason.strip('()')}"


def _ended_early(files: DispatchFolder, dispatch: Dispatch, waiting: Mapping[str, str] | None) -> Iterator[str]:
    """Look for jobs that SLURM no longer has, and that left no result of their worker."""
    if waiting is None or dispatch.ended:
        return
    for log in sorted(files.path.glob("*_0_log.err")):
        job = log.name.removesuffix("_0_log.err")
        known = job in waiting or any(other.startswith(f"{job}_") for other in waiting)
        if known or log.with_name(f"{job}_0_result.pkl").exists():
            continue
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:200] if lines else "nothing was written"
        yield f"job {job} ended before its worker could report: {last} ({log})"
