"""Private names of submitit: start jobs directly, get a job's process, and the sbatch file before submission."""

from __future__ import annotations

import shlex
import subprocess
import uuid
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from submitit.core.core import Job
from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.local.local import LocalExecutor, LocalJob
from submitit.slurm.slurm import SlurmExecutor, SlurmJob, _make_sbatch_string

START = "scaling.security.job"  # the module that starts our jobs instead of submitit's own


class LaunchingExecutor(LocalExecutor):
    """submitit's local executor; subclasses start the job's command themselves, without submitit's controller."""

    @abstractmethod
    def launch(self, command: str) -> LocalJob[Any]:
        """Start the command of a job and return the job."""

    def _submit_command(self, command: str) -> LocalJob[Any]:
        return self.launch(command)


class StartingExecutor(SlurmExecutor):
    """submitit's executor for SLURM, with START as the start of jobs.

    submit_file: submits a file with sbatch and returns the job's id.
    """

    def __init__(self, folder: Path, *, submit_file: Callable[[Path], str], **more: Any) -> None:
        super().__init__(folder, **more)
        self._hand_in = submit_file

    @classmethod
    def name(cls) -> str:
        """submitit's name of the job environment."""
        return "slurm"

    def _internal_process_submissions(self, delayed_submissions: Sequence[DelayedSubmission]) -> list[Job[Any]]:
        """Submit one job, or an array; if it is not accepted, no files remain."""
        count = len(delayed_submissions)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{uuid.uuid4().hex}.sh"
        pickles = [file.with_suffix(f".{number}.pkl") for number in range(count)]
        try:
            for delayed, pickle in zip(delayed_submissions, pickles, strict=True):
                delayed.set_timeout(self.parameters.get("time", 5), self.max_num_timeout)
                delayed.dump(pickle)
            jobs = count if count > 1 else None
            file.write_text(sbatch_text(self.folder, self.python, jobs=jobs, **self.parameters), encoding="utf-8")
            accepted = self._hand_in(file)
            ids = [accepted] if count == 1 else [f"{accepted}_{number}" for number in range(count)]
            made: list[Job[Any]] = [SlurmJob(folder=self.folder, job_id=job, tasks=[0]) for job in ids]
            for job, pickle in zip(made, pickles, strict=True):
                job.paths.move_temporary_file(pickle, "submitted_pickle")
            made[0].paths.move_temporary_file(file, "submission_file")
        finally:
            for left in (file, *pickles):
                left.unlink(missing_ok=True)
        return made


def job_command(python: str, folder: Path) -> str:
    """Return the command of the jobs in a folder."""
    return f"{python} -u -m {START} {shlex.quote(str(folder))}"


def process_of(job: LocalJob[Any]) -> subprocess.Popen[bytes]:
    """Return the process of a job that this program started."""
    process = job._process
    assert process is not None, "a job of another program has no process here"
    return process


def sbatch_text(folder: Path, python: str, *, jobs: int | None, **parameters: Any) -> str:
    """Return the content of the sbatch file of StartingExecutor(folder, python=python), without writing it.

    jobs: number of jobs of an array, None for a single job; parameters: those of SlurmExecutor.update_parameters.
    """
    return _make_sbatch_string(
        command=job_command(python, folder), folder=JobPaths(folder).folder, map_count=jobs, **parameters
    )
