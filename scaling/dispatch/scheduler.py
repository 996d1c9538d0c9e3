"""What SLURM says of jobs: the plain columns of squeue and sacct, never their JSON, whose form keeps changing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

PATIENCE = 20.0  # seconds that a busy slurmctld may take to answer


def ask(command: Sequence[str]) -> str | None:
    """Run one of SLURM's tools; None where it is missing or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        return None
    return done.stdout


def job_states(jobs: Sequence[str]) -> dict[str, str] | None:
    """Return the state of the jobs (array elements apart) that SLURM still holds; None where it does not answer.

    Asked for all jobs of the user at once: an id that SLURM has forgotten would spoil the answer for the others.
    """
    user = str(os.getuid())
    said = ask(["squeue", "--noheader", "--array", f"--user={user}", "--format=%i|%T"])
    if said is None:
        return None
    wanted = set(jobs)
    found = {}
    for line in said.splitlines():
        job, _, state = line.strip().partition("|")
        if job in wanted or job.split("_")[0] in wanted:
            found[job] = state
    return found
