"""What a thread draws ahead is what is drawn when it is asked for, and only where no stream can be disturbed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from scaling.data.memory import MEMORY
from scaling.data.mnist1d import Mnist1d
from scaling.data.teacher import Teacher
from scaling.global_streams import stream_states
from scaling.train.feed import feed as feeds
from scaling.train.feed.draw_ahead import Ahead
from scaling.train.feed.run_data import load_run_data
from scaling.train.run import train_run
from tests.train.runs import TARGETS, essence, folder_of, planned
from tests.waiting import wait_for

CPU = torch.device("cpu")
TARGETS.update(mnist1d="scaling.data.mnist1d.Mnist1d", teacher="scaling.data.teacher.Teacher")


@pytest.fixture(autouse=True)
def forgotten():
    """Chunks of another size than usual do not stay in memory for other tests."""
    yield
    MEMORY.clear()


def test_the_next_is_made_meanwhile_and_each_once():
    made, threads = [], set()

    def make(i):
        made.append(i)
        threads.add(threading.current_thread().name)
        return i * i

    ahead = Ahead(make, until=4)
    assert ahead(0) == 0
    wait_for(lambda: made == [0, 1])
    assert [ahead(i) for i in (1, 0, 1, 2, 3, 3)] == [1, 0, 1, 4, 9, 9]
    assert made == [0, 1, 2, 3]
    assert ahead(0) == 0  # long ago: made again
    assert threads == {"ahead_0"}
    del ahead
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "ahead_0"])


def test_several_threads_make_as_many_of_the_next():
    together, made = threading.Barrier(3, timeout=10), []

    def make(i):
        together.wait()  # three at a time, or nobody goes on
        made.append(i)
        return i * i

    ahead = Ahead(make, until=9, threads=3)
    assert [ahead(i) for i in range(9)] == [i * i for i in range(9)]
    assert sorted(made) == list(range(9))


def test_a_long_order_is_drawn_while_the_epoch_before_it_is_read(monkeypatch):
    monkeypatch.setattr(feeds, "LONG_ORDER", 8)
    drawn, stream = [], feeds.stream
    monkeypatch.setattr(feeds, "stream", lambda *names: drawn.append(names[-1]) or stream(*names))
    feeds.Permutations(10, 0, CPU).index(0, 5)
    wait_for(lambda: drawn == [0, 1])


def test_an_error_is_raised_where_its_value_is_asked_for():
    ahead = Ahead(lambda i: 1 // (2 - i))
    assert [ahead(0), ahead(1)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        ahead(2)


@pytest.mark.parametrize("name", ["mnist1d", "teacher"])
def test_a_run_on_fresh_examples_is_the_same_whoever_draws_them(name, tmp_path, monkeypatch):
    kind = {"mnist1d": Mnist1d, "teacher": Teacher}[name]
    monkeypatch.setattr(kind, "chunk", 256)
    run = planned({"steps": 60, "batch": 32}, data=name, model={"is": "mlp", "width": 8, "depth": 1, "dropout": 0.1})
    ahead = train_run(run, folder_of(run, tmp_path / "a"), device="cpu")
    monkeypatch.setattr(feeds, "Ahead", lambda make, until, threads: feeds.LAST_TWO(make))
    assert essence(train_run(run, folder_of(run, tmp_path / "b"), device="cpu")) == essence(ahead)


def test_no_more_is_drawn_than_a_run_takes(monkeypatch):
    drawn = []
    draw = Mnist1d.draw

    def noted(self, n, rng):
        drawn.append(n)
        return draw(self, n, rng)

    monkeypatch.setattr(Mnist1d, "chunk", 320)
    monkeypatch.setattr(Mnist1d, "draw", noted)
    run = planned({"steps": 20, "batch": 32}, data={"is": "mnist1d", "seed": 77})
    sets = load_run_data(run.config, run.quantities, CPU)
    drawn.clear()
    sets.feed.examples(608, 640)
    sets.feed.examples(600, 632)
    assert drawn == [320]


def test_shipped_sets_draw_from_no_global_stream():
    """So that a thread may draw them while a run draws its dropout."""
    before = stream_states([])
    for data in (Mnist1d(seed=5), Teacher(seed=5)):
        splits = data.load(None, stream_seed=3)
        assert splits.train.thread_safe
        splits.train.draw(1)
        data.load(100)
    after = stream_states([])
    assert torch.equal(before["torch"][0], after["torch"][0])
    assert before["numpy"] == after["numpy"]
    assert before["random"] == after["random"]


def test_a_set_of_a_user_s_is_drawn_by_nobody_else(monkeypatch):
    run = planned({"steps": 20}, data="drawn")
    sets = load_run_data(run.config, run.quantities, CPU)
    assert not sets.splits.train.thread_safe
    names = set()
    draw = type(run.config.data)._draw
    monkeypatch.setattr(
        type(run.config.data), "_draw", lambda *a: names.add(threading.current_thread().name) or draw(*a)
    )
    x, _ = sets.feed.examples(100, 300)
    assert names == {threading.main_thread().name}
    assert np.isfinite(x.numpy()).all()
