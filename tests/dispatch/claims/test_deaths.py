"""The death of a worker is recorded once, whatever file error strikes while another takes over its run."""

from __future__ import annotations

import errno

import pytest

from scaling.dispatch import worker as module
from scaling.dispatch.claims import claim
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.queue import read_queue, write_queue
from scaling.dispatch.task import Task
from scaling.dispatch.worker import Worker
from tests.dispatch.claimants import leave_claim
from tests.dispatch.conftest import STAND_IN, causes, order
from tests.dispatch.stand_in import planned


def failing_once(real, *, at: int):
    """Return a function that fails in its call number `at`, as a file server may, and is the real one otherwise."""
    calls = []

    def answer(*args, **named):
        calls.append(args)
        if len(calls) == at:
            raise OSError(errno.EIO, "no answer")
        return real(*args, **named)

    return answer


@pytest.mark.parametrize(("where", "name", "at"), [(module, "is_settled", 2), (claim, "replace_file", 1)])
def test_a_death_is_recorded_once_though_files_fail_meanwhile(folder, monkeypatch, where, name, at):
    run, queue = planned(0), folder.path / "queue.jsonl"
    write_queue(queue, order(folder, [run]).entries)
    [entry] = read_queue(queue)
    stop = Stop()
    worker = Worker(Task(folder, queue, train=STAND_IN), stop=stop, heartbeat=Heartbeat(stop))
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
