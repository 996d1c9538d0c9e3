"""Workers share a long queue without looking at all of it: each takes the first run that is free."""

from __future__ import annotations

import pytest

from scaling.dispatch.claims.ledger import Ledger
from scaling.dispatch.claims.queue_walk import Walk
from scaling.dispatch.queue import Entry, LazyQueue, QueueFile
from scaling.dispatch.states import index
from scaling.dispatch.states.index import Event, Index


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self):
        return self.now


def claim(news, run_id, token="1"):
    news.append(index.CLAIMED, run_id, {"token": token, "since": 0.0, "gpus": 1, "seconds": 9.0, "C": 5.0})


@pytest.fixture
def clock():
    return Clock()


def walks(results, runs, clock, count):
    return [Walk(runs, Index(results), place=place, dispatch="d", clock=clock) for place in range(count)]


def test_workers_start_at_different_places_and_go_on_with_the_first_free_run(tmp_path, clock):
    runs, news = list("abcdef"), Index(tmp_path)
    first, second, third = (walk.round() for walk in walks(tmp_path, runs, clock, 3))
    assert [next(first), next(second), next(third)] == ["a", "b", "c"]
    for run_id in "abc":
        claim(news, run_id, run_id)
    clock.now += 2
    assert next(second) == "d"
    claim(news, "d")
    news.append(index.SETTLED, "a", [0, 0])
    clock.now += 2
    assert list(first) == ["e", "f", "b", "c", "d"]  # what others hold comes last, what is settled never


def test_runs_at_the_front_are_next_and_go_back_to_their_places(tmp_path, clock):
    told = [None, ("e", "d"), None, ("c",), ()]
    walk = Walk("abcdef", Index(tmp_path), clock=clock, front=lambda: told.pop(0) if told else None)
    run = walk.round()
    assert next(run) == "a"
    found = []
    for _ in range(3):
        clock.now += 2
        found.append(next(run))
        walk.done(found[-1])
    assert found == ["e", "d", "c"]
    clock.now += 2
    assert list(run) == ["b", "f"]
    assert list(walk.left) == ["a", "b", "f"]


def test_behind_a_run_at_the_front_come_only_such(tmp_path, clock):
    walk = Walk("abcdef", Index(tmp_path), clock=clock, front=lambda: ("e", "d"))
    assert next(walk.round()) == "e"
    assert (walk.ahead(9, of="e"), walk.ahead(2, of="a")) == (["d"], ["d", "a"])


def test_more_workers_than_runs_all_find_one(tmp_path, clock):
    assert [next(walk.round()) for walk in walks(tmp_path, ["a", "b"], clock, 4)] == ["a", "b", "a", "a"]


def test_what_was_tried_or_let_go_is_free_again_and_what_failed_here_is_left(tmp_path, clock):
    news, [walk] = Index(tmp_path), walks(tmp_path, list("abcd"), clock, 1)
    for run_id in "abc":
        claim(news, run_id, run_id)
    news.append(index.TRIED, "a", {"token": "a"})
    news.append(index.TRIED, "b", {"token": "of another claim"})
    news.append(index.FAILED, "c", {"in": "d"})
    news.append(index.FAILED, "d", {"in": "another dispatch"})
    assert list(walk.round()) == ["a", "d", "b"]


@pytest.mark.slow
def test_a_thousand_workers_look_at_each_run_a_few_times(tmp_path, clock):
    """Each takes a run, looks at nothing else, and is done with it before it takes the next."""
    runs, news, looks, taken = [f"{n:04}" for n in range(1000)], Index(tmp_path), 0, set()
    rounds = [walk.round() for walk in walks(tmp_path, runs, clock, 50)]
    while len(taken) < len(runs):
        for worker, found in enumerate(rounds):
            for run_id in found:
                looks += 1
                if run_id not in taken:
                    taken.add(run_id)
                    claim(news, run_id, str(worker))
                    news.append(index.SETTLED, run_id, [0, 0])
                    break
        clock.now += 2
    assert looks < 2 * len(runs)


def test_the_ledger_counts_attempts_settled_runs_and_those_in_flight_at_their_forecast(tmp_path):
    ledger, news = Ledger({"a", "b", "c"}), Index(tmp_path)
    reader = Index(tmp_path)

    def spent(without=""):
        for event in reader.news():
            ledger.hear(event)
        return ledger.spent(without=without)

    far = 4e9  # seconds: a claim of the future has not lasted yet
    for run_id, token in (("a", "1"), ("b", "2"), ("other", "3")):
        news.append(index.CLAIMED, run_id, {"token": token, "since": far, "gpus": 2, "seconds": 9.0, "C": 5.0})
    assert spent() == (36.0, 10.0)
    assert spent(without="b") == (18.0, 5.0)
    news.append(index.TRIED, "a", {"token": "1", "gpu_seconds": 100.0})
    assert spent() == (118.0, 5.0)  # an attempt that failed has cost time, and no FLOPs that are of use
    news.append(index.SETTLED, "b", [0, 0])
    news.append(index.TRIED, "b", {"token": "2", "gpu_seconds": 50.0})
    news.append(index.DROPPED, "b", {"token": "2"})
    assert spent() == (150.0, 5.0)
    assert Event(index.DROPPED, "b", b"{}").read() == {}


def test_what_the_index_calls_settled_is_checked_once_by_all_together(tmp_path, clock, monkeypatch):
    runs, news = [f"{n:04}" for n in range(100)], Index(tmp_path)
    both = walks(tmp_path, runs, clock, 3)
    for run_id in runs:
        news.append(index.SETTLED, run_id, [5, 7, "finished"])
    asked = []
    stamps = {run_id: (5, 7) for run_id in runs if run_id != "0042"}
    monkeypatch.setattr(Index, "stamp_of", lambda _, run_id: asked.append(run_id) or stamps.get(run_id))
    for walk in both:
        assert list(walk.round()) == []
    assert sorted(walk.check(of=3) for walk in both) == [0, 0, 1]
    assert sorted(asked) == runs
    assert sorted(list(walk.round()) for walk in both) == [[], [], ["0042"]]
    assert sum(walk.check(of=3) for walk in both) == 0


def test_a_run_that_was_settled_without_the_weights_that_are_asked_for_stays(tmp_path, clock):
    """As where stages are added to a sweep while what they start from is in other jobs."""
    queue, news = QueueFile(tmp_path / "queue.jsonl"), Index(tmp_path)
    queue.write([Entry("a", 1.0, keeps=(60, 119)), Entry("b", 1.0), Entry("c", 1.0)])
    lazy = LazyQueue(queue.path)
    assert [lazy.keeps(run_id) for run_id in lazy.run_ids] == [(60, 119), (), ()]
    walk = Walk(lazy.run_ids, news, clock=clock, whole=lambda run_id: not lazy.keeps(run_id))
    claim(news, "a")
    news.append(index.SETTLED, "a", [0, 0])
    news.append(index.SETTLED, "b", [0, 0])
    clock.now += 2
    assert list(walk.round()) == ["a", "c"]
    assert list(walk.left) == ["a", "c"]
