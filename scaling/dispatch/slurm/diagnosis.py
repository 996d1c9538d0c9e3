"""Find out what keeps jobs from training: why they wait, by squeue, and their last output if they have ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.process import this_user
from scaling.dispatch.slurm.scheduler import BEGINS, end_of, hides_jobs
from scaling.dispatch.slurm.shared_answer import answer_on
from scaling.folders import exists
from scaling.security.reading import read_text
from scaling.security.trouble import trouble_file

ALWAYS = ("", "None", "Dependency", "JobArrayTaskLimit", "Cleaning", "Prolog")  # reasons that need no report
USUAL = (*ALWAYS, "Priority", "Resources", "BeginTime")  # those that need none while other jobs of the dispatch run
MOST = 3  # sentences for a dispatch
LONGEST = 300  # characters of a quoted line


def diagnose_jobs(dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> list[str]:
    """Return a sentence for each job that waits for an unusual reason, or ended before its worker could report.

    Dispatches whose jobs have all ended are only looked into if no later one has taken up what they left.
    """
    answer = answer_on(dispatches)
    waiting = None if answer.states is None else answer.reasons
    found: list[str] = []
    for files, dispatch in dispatches:
        sentences = [*_waits(dispatch, waiting or {})]
        if files is dispatches[-1][0] or any(_known(job, waiting or {}) for job in dispatch.jobs):
            sentences += _ended_early(files, dispatch, waiting)
        found += sentences[:MOST]
        if len(sentences) > MOST:
            found.append(f"and {len(sentences) - MOST} more notes of {dispatch.id} alike")
    return found


def _waits(dispatch: Dispatch, waiting: Mapping[str, str]) -> Iterator[str]:
    """Yield why jobs wait, one sentence for an array; usual reasons only if no job of the dispatch is running."""
    own = [(job.split("_")[0], reason) for job, reason in waiting.items() if job.split("_")[0] in dispatch.jobs]
    usual = USUAL if any(reason == "" for _, reason in own) else ALWAYS
    for job, reason in dict.fromkeys(own):
        if reason not in usual:
            yield f"job {job} waits in SLURM's queue: {reason}"


def _ended_early(files: DispatchFolder, dispatch: Dispatch, waiting: Mapping[str, str] | None) -> Iterator[str]:
    """Yield sentences on jobs that SLURM no longer has and that reported trouble, or no result at all."""
    if waiting is None or dispatch.ended:
        return
    logs = {log.name.removesuffix("_0_log.err"): log for log in sorted(files.path.glob("*_0_log.err"))}
    gone = [job for job in logs if not _known(job, waiting)]
    lost = [job for job in dispatch.jobs if not _known(job, waiting) and not _known(job, logs)]
    if (gone or lost) and dispatch.user not in ("", this_user()) and hides_jobs():
        yield f"SLURM hides the jobs of other users here: whether some of {dispatch.user} are left is unknown"
        return
    for job in gone:
        lines = _lines(trouble_file(files.path, job))
        yield from (f"job {job}: {line[:LONGEST]} ({logs[job]})" for line in lines[:MOST])
    results = {job: log.with_name(f"{job}_0_result.pkl") for job, log in logs.items()}
    silent = [job for job in gone if not exists(trouble_file(files.path, job)) and not exists(results[job])]
    left = MOST  # questions to SLURM, which may answer late or not at all
    for job in [*silent, *lost]:
        end = end_of(job) if left else ""
        left = left - 1 if end else 0
        yield f"{_without_report(files, job, logs.get(job))}{f'; SLURM says {end}' if end else ''}"


def _without_report(files: DispatchFolder, job: str, log: Path | None) -> str:
    """Return what is known of a job that has ended without a result."""
    if log is None:
        why = "it was cancelled before it began, or its node could not write there"
        return f"job {job} left no log in {files.path}: {why}"
    last = [line for line in _lines(log) if not line.endswith(BEGINS)] or ["nothing was written"]
    return f"job {job} ended before its worker could report: {last[-1][:LONGEST]} ({log})"


def _known(job: str, waiting: Mapping[str, object]) -> bool:
    """Return whether SLURM still has a job, or an element of its array."""
    return job in waiting or any(other.startswith(f"{job}_") for other in waiting)


def _lines(path: Path) -> list[str]:
    """Return the non-empty lines of a file, [] if it cannot be read."""
    try:
        text = read_text(path, errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
