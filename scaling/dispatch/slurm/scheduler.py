"""Read the states of SLURM jobs from the plain columns of squeue and sacct, as their JSON changes between versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from scaling.dispatch.dispatches import is_dispatch
from scaling.security.reading import read_text

PATIENCE = 20.0  # seconds that a busy slurmctld may take to answer
SHORT_PATIENCE = 4.0  # seconds for an answer that only adds to a sentence
WORDS = {  # in slurmstepd's message when a job is ended
    "DUE TO PREEMPTION": "preempted",
    "DUE TO JOB REQUEUE": "requeued",
    "DUE TO TIME LIMIT": "timed_out",
    "DUE TO NODE": "node_lost",
}
JOB_ID = re.compile(r"\d+(_\d+)?")
ENDED = re.compile(r"slurmstepd.*\*\*\* (?:JOB|STEP) \S+ ON .* CANCELLED AT (\S+)(.*)\*\*\*")
BEGINS = "the job begins"  # in the log of a job, which a requeued one continues
OUT_OF_MEMORY = re.compile(r"slurmstepd.*(?:oom.kill|out-of-memory|exceeded memory limit)", re.IGNORECASE)
CHANGES_ANSWERS = re.compile(r"(SQUEUE|SACCT|SINFO|SCANCEL|SBATCH)_|SLURM_(?!(CONF|CONF_SERVER|JWT)$)")
SQUEUE = "--format=%i|%T|%r|%j|%o"
HEAD = "JOBID|STATE|REASON|NAME|COMMAND"  # the first line of a real answer of squeue
JOB = re.compile(r"(\d[^|]*)\|([A-Z_]+)\|([^|]*)\|([^|]*)\|(.*)")
CUT = re.compile(r"\d[^|]*\|")  # the begin of a job's line; names and commands of others' jobs may have several lines
ALIVE = ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "STOPPED", "SIGNALING", "STAGE_OUT")
CAUSES = {  # states of squeue and sacct, as causes of attempts
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "REQUEUED": "requeued",
    "REQUEUE_HOLD": "requeued",
    "PENDING": "requeued",
    "TIMEOUT": "timed_out",
    "NODE_FAIL": "node_lost",
    "BOOT_FAIL": "node_lost",
    "OUT_OF_MEMORY": "out_of_memory",
    "FAILED": "killed",
}


def ask(command: Sequence[str], *, patience: float = PATIENCE) -> str | None:
    """Return the output of one of SLURM's tools, None if it is missing, fails or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = call(command, patience=patience)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        return None
    return done.stdout


def call(command: Sequence[str], *, patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run one of SLURM's tools in a plain environment; subprocess.TimeoutExpired after `patience` seconds."""
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=patience,
        check=False,
        env=plain_environment(),
    )


def plain_environment() -> dict[str, str]:
    """Return the environment without variables of a surrounding job, or that change the output of SLURM's tools."""
    return {key: value for key, value in os.environ.items() if not CHANGES_ANSWERS.match(key)}


def own_job() -> str:
    """Return the SLURM job of this process: an array element as ARRAY_INDEX."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID", "")


class QueuedJob(NamedTuple):
    """An unfinished job; reason: why it does not run ('' if it does); command: the file that sbatch was given, which
    lies in the folder of its dispatch.
    """

    state: str
    reason: str
    name: str
    command: str

    @property
    def source(self) -> str:
        """The name of its dispatch, or of its sweep's folder where a site's wrapper gives sbatch another file."""
        folder = Path(self.command).parent.name
        return folder if is_dispatch(folder) else self.name.rpartition("/")[2]


def all_jobs(users: Collection[str] = ()) -> dict[str, QueuedJob] | None:
    """Return all unfinished jobs; None if squeue gives no complete answer.

    It is asked for all jobs of the users, because an id that SLURM has forgotten would spoil the answer. An answer
    without its first line, or with an invalid line, is not taken for an empty queue.
    """
    names = ",".join(sorted({str(os.getuid()), *filter(None, users)}))
    lines = [line.strip() for line in (ask(["squeue", "--array", f"--user={names}", SQUEUE]) or "").splitlines()]
    if HEAD not in lines:
        return None
    found: dict[str, QueuedJob] = {}
    for line in lines[lines.index(HEAD) + 1 :]:
        row = JOB.fullmatch(line)
        if row is not None:
            job, state, reason, name, command = row.groups()
            found[job] = QueuedJob(state, _reason(state, reason), name, command)
        elif CUT.match(line):
            return None
    return found


def _reason(state: str, reason: str) -> str:
    """Return why a job does not run; the reason of a stopped job is outdated, so its state is returned."""
    if state in ("SUSPENDED", "STOPPED"):
        return state.lower()
    if state in ALIVE:
        return ""
    return state if state != "PENDING" and reason == "None" else reason.strip("()")


def accepted_job(file: Path) -> str | None:
    """Return the id of the job that SLURM has made from a file for sbatch, None if it is not known."""
    return next((job.split("_")[0] for job, found in (all_jobs() or {}).items() if found.command == str(file)), None)


def seconds_left(job: str) -> float | None:
    """Return the seconds until a job's time limit, None if it has none or SLURM does not answer."""
    output = ask(["squeue", "--noheader", f"--jobs={job}", "--format=%L"])
    left = minutes((output or "").strip())
    return None if left is None else 60 * left


def minutes(limit: str) -> float | None:
    """Return a time limit in minutes from SLURM's format, days-hours:minutes:seconds; None for infinite."""
    if not re.fullmatch(r"[\d:-]+", limit):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:
        parts += [0] * (3 - len(parts))
    hours, mins, seconds = [0, 0, 0, *parts][-3:]
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def cause_of_end(log: Path, since: float = 0.0) -> str:
    """Return why SLURM ended the job with this log, as a cause of an attempt; '' if the log does not say.

    While the job ends, squeue shows only COMPLETING; the reason is in the line that slurmstepd writes to the job's log
    before it sends SIGTERM. since: Unix seconds; earlier lines are from before a requeue.
    """
    notes = [words for at, words in ENDED.findall(_text(log)) if _seconds(at) >= since - 1]
    if not notes:
        return ""
    return next((cause for words, cause in WORDS.items() if words in notes[-1]), "cancelled")


def cause_of_death(jobs: Path, job: str, began: float) -> str:
    """Return what ended a job that was running at `began` (Unix seconds), by its log and sacct; '' if unknown.

    jobs: the folder of the sweep's dispatches.
    """
    if not JOB_ID.fullmatch(job):
        return ""
    logs = list(jobs.glob(f"*/{job}_0_log.err"))
    if any(OUT_OF_MEMORY.search(_text(log).rpartition(BEGINS)[2]) for log in logs):
        return "out_of_memory"
    return accounted(job, began) or next(filter(None, (cause_of_end(log, began) for log in logs)), "")


def end_of(job: str) -> str:
    """Return how SLURM says that a job has ended, such as "CANCELLED by 0" or "FAILED, exit code 7:0".

    '' if it does not know the job.
    """
    columns = "--format=State,ExitCode"
    command = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", columns]
    rows = ask(command, patience=SHORT_PATIENCE) or ""
    found = [line.split("|") for line in rows.splitlines() if line.count("|") == 1]
    if not found:
        facts = dict(re.findall(r"(\w+)=(\S+)", ask(["scontrol", "--oneliner", "show", "job", job]) or ""))
        found = [[facts.get("JobState", ""), facts.get("ExitCode", "")]]
    state, code = found[-1]
    if state in ("", "PENDING", *ALIVE):
        return ""
    return state if code in ("", "0:0") else f"{state}, exit code {code}"


def hides_jobs() -> bool:
    """Return whether SLURM shows users only their own jobs."""
    return bool(re.search(r"^PrivateData\s*=.*\b(jobs|all)\b", ask(["scontrol", "show", "config"]) or "", re.MULTILINE))


def _text(log: Path) -> str:
    try:
        return read_text(log, errors="replace")
    except OSError:
        return ""


def accounted(job: str, began: float) -> str:
    """Return what ended a job that was running at `began` (Unix seconds), by sacct; '' if unknown."""
    columns = "--format=State,Start,End"
    output = ask(["sacct", "--duplicates", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", columns])
    rows = [line.split("|") for line in (output or "").splitlines() if line.count("|") == 2]
    for state, start, _ in reversed(rows):
        if _seconds(start) <= began + 1:
            return CAUSES.get(state.partition(" ")[0], "")
    return ""


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return float("inf")
