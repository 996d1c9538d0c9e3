"""An attempt and the death of a worker are recorded once, whatever file error or signal strikes meanwhile."""

from __future__ import annotations

import errno
import time

import pytest

from scaling.dispatch import worker as module
from scaling.dispatch.claims import claim, file_retries
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.queue import read_queue, write_queue
from scaling.dispatch.states.attempts import PastAttempt, Start, ended_attempt
from scaling.dispatch.task import Task
from scaling.dispatch.worker import Worker
from tests.dispatch import stand_in
from tests.dispatch.claimants import leave_claim
from tests.dispatch.conftest import STAND_IN, causes, order
from tests.dispatch.stand_in import planned


def worker_of(folder, run):
    """Return a worker, and the entry of its only run."""
    queue, stop = folder.path / "queue.jsonl", Stop()
    write_queue(queue, order(folder, [run]).entries)
    return Worker(Task(folder, queue, train=STAND_IN), stop=stop, heartbeat=Heartbeat(stop)), read_queue(queue)[0]


def failing_once(real, *, at: int, done: bool = False):
    """Return a function that fails in its call number `at`, as a file server may, and is the real one otherwise.

    done: it has then done its work, and only the answer is lost.
    """
    calls = []

    def answer(*args, **named):
        calls.append(args)
        if len(calls) == at:
            if done:
                real(*args, **named)
            raise OSError(errno.EIO, "no answer")
        return real(*args, **named)

    return answer


@pytest.mark.parametrize(("where", "name", "at"), [(module, "is_settled", 2), (claim, "replace_file", 1)])
def test_a_death_is_recorded_once_though_files_fail_meanwhile(folder, monkeypatch, where, name, at):
    run = planned(0)
    worker, entry = worker_of(folder, run)
    leave_claim(folder.run(run.run_id).claim)
    monkeypatch.setattr(where, name, failing_once(getattr(where, name), at=at))
    with pytest.raises(OSError, match="no answer"):
        worker.claim(entry)
    assert worker.claim(entry) is None
    assert causes(folder, run) == ["killed"]


def test_a_death_is_recorded_once_though_the_scheduler_names_another_cause_later(folder, monkeypatch):
    run, queue = planned(0), folder.path / "queue.jsonl"
    write_queue(queue, order(folder, [run]).entries)
    [entry] = read_queue(queue)
    leave_claim(folder.run(run.run_id).claim)
    monkeypatch.setattr(claim, "replace_file", failing_once(claim.replace_file, at=1))
    first, second = (
        Worker(Task(folder, queue, train=STAND_IN), stop=stop, heartbeat=Heartbeat(stop)) for stop in (Stop(), Stop())
    )
    with pytest.raises(OSError, match="no answer"):
        first.claim(entry)
    monkeypatch.setattr(second, "cause_of_death", lambda dead: "node_lost")
    assert second.claim(entry) is None
    assert causes(folder, run) == ["killed"]


@pytest.mark.parametrize(("act", "cause", "done"), [("steps", "finished", True), ("crash", "crashed", False)])
def test_an_attempt_is_not_repeated_because_it_could_not_be_recorded_at_once(folder, monkeypatch, act, cause, done):
    run, trained = planned(0, act), []
    worker, entry = worker_of(folder, run)

    def train(*arguments, **named):
        trained.append(arguments)
        return stand_in.train(*arguments, **named)

    monkeypatch.setattr(module, "load", lambda name: train)
    monkeypatch.setattr(file_retries, "SPACE_TRIES", (1e-3, 1e-3))
    monkeypatch.setattr(PastAttempt, "append", failing_once(PastAttempt.append, at=1, done=done))
    worker.settle(entry)
    assert (len(trained), causes(folder, run)) == (1, [cause])


def test_the_end_of_a_worker_that_has_just_recorded_its_attempt_is_no_other_attempt(folder):
    run = planned(0, "crash")
    leave_claim(folder.run(run.run_id).claim)
    ended_attempt(Start(), job="", gpus=0, cause="crashed", step=None, failure=None).append(folder.run(run.run_id))
    worker, entry = worker_of(folder, run)
    assert worker.claim(entry) is None
    assert causes(folder, run) == ["crashed"]


def test_an_attempt_lasts_no_longer_because_the_clock_was_set_forward(monkeypatch):
    start = Start()
    monkeypatch.setattr(time, "time", lambda: start.at + 1e6)
    assert ended_attempt(start, job="", gpus=8, cause="finished", step=1, failure=None).gpu_seconds < 1e6
