"""Private names of submitit: starting jobs ourselves, a job's process, the file for sbatch unsubmitted."""

from __future__ import annotations

import shlex
import subprocess
from abc import abstractmethod
from pathlib import Path
from typing import Any

from submitit.core.utils import JobPaths
from submitit.local.local import LocalExecutor, LocalJob
from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

START = "scaling.security.job"  # the module that begins our jobs, in the place of submitit's own


class LaunchingExecutor(LocalExecutor):
    """submitit's local executor; subclasses start the job's command themselves, without submitit's controller."""

    @abstractmethod
    def launch(self, command: str) -> LocalJob[Any]:
        """Start the command of a job and return the job."""

    def _submit_command(self, command: str) -> LocalJob[Any]:
        return self.launch(command)


class StartingExecutor(SlurmExecutor):
    """submitit's executor for SLURM, whose jobs begin with a module of ours."""

    @classmethod
    def name(cls) -> str:
        """submitit's name of the job environment."""
        return "slurm"

    @property
    def _submitit_command_str(self) -> str:
        return job_command(self.python, self.folder)


def job_command(python: str, folder: Path) -> str:
    """Return the command of the jobs of a folder."""
    return f"{python} -u -m {START} {shlex.quote(str(folder))}"


def process_of(job: LocalJob[Any]) -> subprocess.Popen[bytes]:
    """Return the process of a job that this program started."""
    process = job._process
    assert process is not None, "a job of another program has no process here"
    return process


def sbatch_text(folder: Path, python: str, *, jobs: int | None, **parameters: Any) -> str:
    """Return the file that StartingExecutor(folder, python=python) would give to sbatch; touches nothing.

    jobs: number of jobs of an array, None for a single job; parameters: those of SlurmExecutor.update_parameters.
    """
    return _make_sbatch_string(
        command=job_command(python, folder), folder=JobPaths(folder).folder, map_count=jobs, **parameters
    )
