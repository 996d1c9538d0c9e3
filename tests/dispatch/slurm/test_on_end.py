"""What jobs on SLURM do at the end of a sweep: the last closing job does it, once."""

from __future__ import annotations

from scaling.dispatch.dispatches import DispatchFolder
from scaling.dispatch.queue import write_queue
from scaling.dispatch.slurm.worker import SlurmJob
from scaling.dispatch.task import Task
from scaling.folders import SweepFolder


def test_the_last_of_the_closing_jobs_runs_the_command_once(tmp_path):
    folder = SweepFolder(tmp_path / "results", "mine")
    dispatch = DispatchFolder(folder.jobs / "one")
    dispatch.path.mkdir(parents=True)
    write_queue(dispatch.queue, [])
    told = tmp_path / "told.txt"
    command = f'echo "$SCALING_NAME $SCALING_SETTLED" >> {told}'

    def closing(group: str) -> SlurmJob:
        return SlurmJob(Task(folder, dispatch.queue, group=group), dispatch, 0, command, groups=2)

    closing("a")._close()
    assert not told.exists()
    closing("a")._close()  # requeued
    assert not told.exists()
    for _ in range(2):
        closing("b")._close()
    assert told.read_text() == "mine 0\n"
