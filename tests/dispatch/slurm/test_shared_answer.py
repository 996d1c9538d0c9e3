"""All who look at a sweep share what squeue says, and nobody takes an answer for one on jobs that came later."""

from __future__ import annotations

import os

import pytest

from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.process import this_process, this_user
from scaling.dispatch.slurm.shared_answer import FRESH, OLD, JobIsRunning, SharedAnswer
from tests.dispatch.conftest import clock_ahead

SQUEUE = """\
#!/bin/sh
echo asked >> asked
test -e silent && exit 1
echo "JOBID|STATE|REASON|NAME|COMMAND"
echo "7_0|RUNNING|None|a|/results/a|b/jobs/20261128-001500-abcdef/run.sh"
echo "7_1|PENDING|PartitionDown|a|/results/a|b/jobs/20261128-001500-abcdef/run.sh"
echo "9|RUNNING|None|wrap|(null)"
echo "10|RUNNING|None|paper/nested|/spool/wrapped.sh"
"""


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Put a squeue on the path, and return how often it has been asked."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "squeue").write_text(SQUEUE)
    (tmp_path / "bin" / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return lambda: len((tmp_path / "asked").read_text().split())


def ago(path, seconds):
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_many_who_look_on_ask_once(tmp_path, squeue):
    path = tmp_path / "squeue.json"
    found = [SharedAnswer(path).get() for _ in range(50)]
    assert squeue() == 1
    assert {answer.states["7_0"] for answer in found} == {"RUNNING"}
    assert {answer.reasons["7_1"] for answer in found} == {"PartitionDown"}
    assert [JobIsRunning(tmp_path)(job) for job in ("7_0", "7_1", "8_0", "9")] == [True, False, False, False]
    assert squeue() == 1
    ago(path, FRESH + 1)
    assert SharedAnswer(path).get().states == found[0].states
    assert squeue() == 2


@pytest.mark.parametrize("seconds", [-90, -20, 20, 90])
def test_many_ask_once_though_their_clock_is_not_that_of_the_file_server(tmp_path, squeue, seconds):
    with clock_ahead(seconds):
        answers = [SharedAnswer(tmp_path / "squeue.json").get() for _ in range(10)]
    assert {answer.states["7_0"] for answer in answers} == {"RUNNING"}
    assert squeue() == 1


@pytest.mark.parametrize(("sweep", "job"), [("results/wrap", "9"), ("results/paper/nested", "10")])
def test_a_job_that_a_wrapper_submitted_is_known_by_the_name_of_its_sweep(tmp_path, squeue, sweep, job):
    jobs = tmp_path / sweep / "jobs"
    jobs.mkdir(parents=True)
    assert [JobIsRunning(jobs)(each) for each in ("9", "10")] == [each == job for each in ("9", "10")]
    mine = DispatchFolder(jobs / "20261128-001500-abcdef"), Dispatch("a", "slurm", 1.0, this_process(), jobs=(job,))
    assert SharedAnswer(tmp_path / "squeue.json").get().of([mine]).states == {job: "RUNNING"}


def test_an_answer_says_nothing_of_jobs_that_were_accepted_later_and_of_other_users(tmp_path, squeue):
    path = tmp_path / "squeue.json"
    SharedAnswer(path).get()
    when = path.stat().st_mtime
    SharedAnswer(path).get(since=when - 1)
    assert squeue() == 1
    SharedAnswer(path).get(since=when)
    assert squeue() == 2
    SharedAnswer(path).get({"somebody", ""})
    assert squeue() == 3
    assert SharedAnswer(path).get({"somebody"}).users == tuple(sorted({"somebody", this_user()}))
    assert squeue() == 3


def test_while_one_asks_the_others_take_the_last_answer_and_one_that_died_is_passed_over(tmp_path, squeue):
    path, turn = tmp_path / "squeue.json", tmp_path / "squeue.asking"
    turn.mkdir()
    assert SharedAnswer(path).get() is None
    assert JobIsRunning(tmp_path)("7_0") is None
    turn.rmdir()
    SharedAnswer(path).get()
    turn.mkdir()
    ago(path, FRESH + 1)
    assert SharedAnswer(path).get().states["7_0"] == "RUNNING"
    ago(path, OLD)
    assert SharedAnswer(path).get() is None
    ago(turn, OLD + 1)
    SharedAnswer(path).get()
    assert SharedAnswer(path).get().states["7_0"] == "RUNNING"
    assert squeue() == 2


def test_a_silent_squeue_is_not_asked_again_at_once_and_is_no_empty_queue(tmp_path, squeue):
    (tmp_path / "silent").touch()
    path = tmp_path / "squeue.json"
    assert [SharedAnswer(path).get().states for _ in range(3)] == [None] * 3
    assert squeue() == 1
    assert JobIsRunning(tmp_path)("7_0") is None


def test_a_file_of_an_older_version_is_no_answer(tmp_path, squeue):
    (tmp_path / "squeue.json").write_text('{"7_0": "PENDING"}')
    assert SharedAnswer(tmp_path / "squeue.json").get().states["7_0"] == "RUNNING"
