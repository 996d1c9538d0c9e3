"""submitit's private names do what is relied on: we start the jobs, and the file for sbatch is the one it writes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
from submitit.local.local import LocalJob

from scaling.internals.submitit import LaunchingExecutor, StartingExecutor, process_of, sbatch_text

PARAMETERS = {
    "job_name": "mine",
    "time": 30,
    "mem": "4000M",
    "cpus_per_task": 2,
    "array_parallelism": 3,
    "additional_parameters": {"signal": "B:USR2@90", "requeue": True},
    "setup": ["export OMP_NUM_THREADS=1"],
    "use_srun": False,
    "signal_delay_s": 90,
}


class Plain(LaunchingExecutor):
    """Starts the command as a child."""

    @classmethod
    def name(cls):
        return "local"

    def launch(self, command):
        facts = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "7", "SUBMITIT_LOCAL_GLOBALID": "0"}
        facts |= {"SUBMITIT_LOCAL_LOCALID": "0", "SUBMITIT_LOCAL_NODEID": "0"}
        facts |= {"SUBMITIT_LOCAL_NTASKS": "1", "SUBMITIT_LOCAL_JOB_NUM_NODES": "1"}
        process = subprocess.Popen(shlex.split(command), env={**os.environ, **facts})
        return LocalJob(folder=self.folder, job_id="7", process=process)


def test_a_job_is_started_by_launch_and_has_its_process(tmp_path):
    job = Plain(folder=tmp_path).submit(int, "41")
    assert process_of(job).wait(timeout=60) == 0
    assert job.result() == 41


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """An sbatch that keeps the file it is given, and an srun to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("srun", ""), ("sbatch", f'cp "$1" {tmp_path}/given; echo Submitted batch job 12')):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "given"


@pytest.mark.parametrize("jobs", [None, 3])
def test_the_file_for_sbatch_is_the_one_that_is_submitted(tmp_path, sbatch, jobs):
    folder = tmp_path / "jobs of mine"
    text = sbatch_text(folder, sys.executable, jobs=jobs, **PARAMETERS)
    assert not folder.exists()
    executor = StartingExecutor(folder=folder, python=sys.executable, submit_file=give)
    executor.update_parameters(**PARAMETERS)
    made = [executor.submit(int, "1")] if jobs is None else executor.submit_array([Call(n) for n in range(jobs)])
    assert sbatch.read_text() == text
    assert [job.job_id for job in made] == (["12"] if jobs is None else ["12_0", "12_1", "12_2"])
    assert all(job.paths.submitted_pickle.exists() for job in made)
    assert len(list(folder.iterdir())) == len(made) + 1  # the pickles, and the file


def test_what_is_refused_leaves_nothing_behind(tmp_path, sbatch):
    def refuse(file):
        raise OSError("no")

    executor = StartingExecutor(folder=tmp_path / "jobs", python=sys.executable, submit_file=refuse)
    executor.update_parameters(**PARAMETERS)
    with pytest.raises(OSError, match="no"):
        executor.submit_array([Call(n) for n in range(3)])
    assert list((tmp_path / "jobs").iterdir()) == []


def give(file):
    return subprocess.run(["sbatch", str(file)], check=True, capture_output=True, text=True).stdout.split()[-1]


class Call:
    """Something to submit."""

    def __init__(self, n):
        self.n = n

    def __call__(self):
        return self.n
