"""Checkpoints are copied at once, written beside the training, one at a time, and no failed one is passed over."""

from __future__ import annotations

import errno
import threading

import pytest
import torch

from scaling.folders import append_line
from scaling.train import train_by_steps
from scaling.train.output.saver import Saver
from scaling.train.run import train_run
from scaling.train.stacked import loop as stacked_loop
from tests.train.runs import essence, folder_of, planned
from tests.waiting import Clock, wait_for


def test_a_checkpoint_is_of_its_moment_and_no_two_are_written_at_once():
    weights, gate, written, writing = torch.zeros(2), threading.Event(), [], []

    def write(state):
        writing.append(threading.current_thread())
        gate.wait()
        assert len(writing) == 1
        written.append(state["model"][0]["w"].tolist())
        writing.pop()

    with Saver(lambda: {"model": [{"w": weights}]}, write) as saver:
        saver.save()
        wait_for(lambda: writing)
        assert threading.current_thread() not in writing
        weights += 1
        gate.set()
        saver.save()
        saver.save()
        weights += 1
    assert written == [[0, 0], [1, 1], [1, 1]]
    assert saver.cost > 0


def test_a_failed_write_is_raised_by_the_next_look_and_at_the_end():
    def fail(state):
        raise OSError(errno.ENOSPC, "no space")

    with Saver(dict, fail) as saver:
        saver.save()
        with pytest.raises(OSError, match="no space"):
            wait_for(saver.check)
    with pytest.raises(OSError, match="no space"), Saver(dict, fail) as saver:
        saver.save()


def test_a_run_whose_checkpoints_fail_ends_with_their_error(tmp_path, every_step, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(train_by_steps, "write_checkpoint", fail)
    run = planned({"steps": 200, "checkpoint_seconds": 0.0})
    with pytest.raises(OSError, match="no space"):
        train_run(run, folder_of(run, tmp_path), device="cpu")


class Dear(Saver):
    """A saver whose checkpoints take a second, so that one is due every 50 s."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cost = 1.0

    def wait(self):
        super().wait()
        self.cost = 1.0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["eager", "stacked"])
def test_a_run_killed_every_twenty_seconds_ends_all_the_same(engine, tmp_path, every_step, monkeypatch):
    """By a clock that goes on with each look at it: the run takes more than a minute of it."""
    clock = Clock(pace=0.05)
    for module in ("loop", "callbacks", "stacked.loop", "stacked.stack"):
        monkeypatch.setattr(f"scaling.train.{module}.monotonic", clock)
    for module in (train_by_steps, stacked_loop):
        monkeypatch.setattr(module, "Saver", Dear)
    run = planned({"steps": 600, "engine": engine})
    folder, kills = folder_of(run, tmp_path), 0
    while True:
        until = clock.now + 20.0

        def stop(until=until):
            if clock.now > until:
                raise ConnectionAbortedError("killed")
            return False

        try:
            record = train_run(run, folder, device="cpu", stop=stop)
            break
        except ConnectionAbortedError:
            kills += 1
            append_line(folder.attempts, {"cause": "killed", "seconds": 20.0})
            assert kills < 12, "it gains nothing"
    assert kills > 2
    assert essence(record) == essence(train_run(run, folder_of(run, tmp_path / "straight"), device="cpu"))
