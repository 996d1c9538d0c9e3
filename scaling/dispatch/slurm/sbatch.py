"""Submit jobs with sbatch through submitit, and handle its refusals."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.devices import thread_environment
from scaling.dispatch.dispatches import DispatchFolder
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.slurm.deal import JobShare
from scaling.dispatch.slurm.scheduler import accepted_job, ask, call
from scaling.dispatch.slurm.snapshot import check_in_job, import_path
from scaling.errors import UserError
from scaling.internals.submitit import StartingExecutor, sbatch_text

TIMEOUTS = 1000  # requeues at the time limit that submitit allows; this package has its own limit of tries
PYTHON = f"exec {shlex.quote(sys.executable)}"  # replaces the batch shell, so that SLURM's warning reaches Python
BACK_OFF = (1, 2, 4, 8, 15, 30)  # seconds between two calls of sbatch while the controller is busy
PATIENCE = 120.0  # seconds that sbatch may take
SUBMITTED = re.compile(r"Submitted batch job (\d+)")
PARSABLE = re.compile(r"^\s*(\d+)(?:;\S+)?\s*$", re.MULTILINE)  # the output of sbatch --parsable
MISREAD = {  # in the paths of logs
    "%": "a per cent sign, which SLURM takes for a job's number,",
    "\\": "a backslash, which sbatch leaves out,",
    "\n": "a line break, after which the batch shell would run the rest,",
}
PASSING = (  # temporary refusals
    "Socket timed out",
    "Unable to contact slurm controller",
    "temporarily unable to accept job",
    "Resource temporarily unavailable",
    "Transport endpoint is not connected",
    "Connection refused",
)
TOO_MANY = (
    "AssocMaxSubmitJobLimit",
    "QOSMaxSubmitJob",
    "MaxSubmitJobs",
    "job submit limit",
    "Job array index too large",
    "Invalid job array specification",  # also where max_array_tasks allows fewer than MaxArraySize
)


class TooMany(Exception):
    """SLURM accepts no more jobs from this user, or no array of that size."""


def submit_file(file: Path) -> str:
    """Submit a file with sbatch and return the job's id; UserError or TooMany if it is refused.

    While the controller is busy, wait and try again, unless squeue shows that it has accepted the file all the same.
    """
    for pause in (*BACK_OFF, 0):
        try:
            job, answer = _submit_once(file)
        except KeyboardInterrupt:
            _take_back(file)
            raise
        job = job or accepted_job(file)
        if job is not None:
            return job
        if any(words in answer for words in TOO_MANY):
            raise TooMany(_refusal(answer))
        if pause == 0 or not any(words in answer for words in PASSING):
            raise UserError(_refusal(answer))
        time.sleep(pause)
    raise AssertionError("the loop returns or raises")


def _take_back(file: Path) -> None:
    """Cancel the job of a file that SLURM has accepted although its submission was interrupted: nobody knows its id."""
    job = accepted_job(file)
    if job is not None:
        ask(["scancel", job])


def _submit_once(file: Path) -> tuple[str | None, str]:
    """Call sbatch without the environment of a surrounding job and without SBATCH_* settings.

    Return the job's id, None if sbatch names none, and the rest of its output.
    """
    try:
        done = call(["sbatch", str(file)], patience=PATIENCE)
    except subprocess.TimeoutExpired:
        return None, PASSING[0]
    found = SUBMITTED.findall(done.stdout)  # SLURM's own words, whatever the exit code of a wrapper around sbatch
    if not found and done.returncode == 0:
        found = PARSABLE.findall(done.stdout)
    answer = " ".join(f"{done.stderr} {done.stdout}".replace("sbatch: error:", "").split())
    return (found[-1] if found else None), answer or "no answer"


def ignored_settings() -> list[str]:
    """Return sentences on SBATCH_* settings in the environment, which are ignored: only the launcher's keys count."""
    names = sorted(key for key in os.environ if key.startswith("SBATCH_"))
    return [f"{name}={os.environ[name]} is ignored; use launcher.* instead" for name in names]


def _refusal(answer: str) -> str:
    ways_out = "give `scaling run` with other launcher.* keys (see `sinfo` and `scaling doctor`)"
    return f"found that sbatch refuses ({answer}); wanted jobs; {ways_out}"


def executor_for(
    share: JobShare,
    launcher: Slurm,
    dispatch: DispatchFolder,
    *,
    name: str,
    dependency: str | None = None,
    give: Callable[[Path], str] = submit_file,
) -> StartingExecutor:
    """Return submitit's executor for one kind of job; give: submits its file and returns the job's id."""
    executor = StartingExecutor(folder=dispatch.path, max_num_timeout=TIMEOUTS, python=PYTHON, submit_file=give)
    executor.update_parameters(**parameters(share, launcher, dispatch, name=name, dependency=dependency))
    return executor


def parameters(
    share: JobShare, launcher: Slurm, dispatch: DispatchFolder, *, name: str, dependency: str | None = None
) -> dict[str, Any]:
    """Return the parameters of a job by submitit's names; UserError for a folder that sbatch would misread."""
    _check_folder(str(dispatch.path))
    threads = {**thread_environment(launcher.threads)}
    setup = [*launcher.setup, *(f"export {key}={value}" for key, value in threads.items())]
    setup += [check_in_job(dispatch.code)] if launcher.snapshot else []
    setup.append(import_path(dispatch.code if launcher.snapshot else None))
    own = {key: value for key, value in launcher.extra.items() if value is not None and value is not False}
    extra = {"signal": f"B:USR2@{launcher.signal_seconds}", "requeue": True, **own}
    asked = {
        "job_name": name,
        "time": share.minutes,
        "mem": f"{max(1, round(share.memory_gb * 1000))}M",
        "cpus_per_task": launcher.cpus,
        "gpus_per_node": launcher.gpus or None,
        "partition": launcher.partition,
        "account": launcher.account,
        "qos": launcher.qos,
        "constraint": launcher.constraint,
        "exclude": launcher.exclude,
        "nodelist": launcher.nodelist,
        "dependency": dependency,
        "array_parallelism": share.parallel,
        "additional_parameters": extra,
        "setup": setup,
        "use_srun": False,
        "signal_delay_s": launcher.signal_seconds,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _check_folder(path: str) -> None:
    """Raise UserError for a path in which sbatch reads another one, or the batch shell a command."""
    wrong = next((character for character in path if character in MISREAD), None)
    if wrong is not None:
        raise UserError(
            f"found {MISREAD[wrong]} in {path!r}, the folder of a sweep's jobs; wanted a results folder without one; "
            f"rename it, or give results=DIR"
        )


def sheet(share: JobShare, launcher: Slurm, dispatch: DispatchFolder, name: str) -> str:
    """Return the content of the file for sbatch."""
    asked = parameters(share, launcher, dispatch, name=name)
    return sbatch_text(dispatch.path, PYTHON, jobs=share.jobs if share.jobs > 1 else None, **asked)
