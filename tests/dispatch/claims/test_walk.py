"""Workers share a long queue without looking at all of it: each takes the first run that is free."""

from __future__ import annotations

import pytest

from scaling.dispatch.claims.queue_walk import QueueWalk
from scaling.dispatch.claims.spending import Spending
from scaling.dispatch.queue import Entry, LazyQueue, write_queue
from scaling.dispatch.states import index
from scaling.dispatch.states.index import Event, Index
from scaling.dispatch.states.settled import is_settled
from scaling.dispatch.task import Task
from scaling.folders import SweepFolder
from scaling.plan.planned import as_overrides


def claim(news, run_id, token="1"):
    news.append(index.CLAIMED, run_id, {"token": token, "since": 0.0, "gpus": 1, "seconds": 9.0, "C": 5.0})


def walk_of(results, runs, *, place=0, workers=1, **how):
    queue = results / "queue.jsonl"
    write_queue(queue, [Entry(run_id, 1.0) for run_id in runs])
    task = Task(SweepFolder(results, "sweep"), queue, place=place, workers=workers)
    return QueueWalk(LazyQueue(queue), task, Index(results), **how)


def walks(results, runs, count):
    return [walk_of(results, runs, place=place, workers=count, dispatch="d") for place in range(count)]


def test_each_of_three_has_every_third_run_and_then_its_part_of_what_is_free(tmp_path):
    news, [first, second, third] = Index(tmp_path), walks(tmp_path, list("abcdefg"), 3)
    rounds = {walk: walk.round() for walk in (first, second, third)}
    for run_id, walk in zip("abcde", (first, second, third, first, second), strict=True):
        assert next(rounds[walk]) == run_id
        walk.took()
        claim(news, run_id, run_id)
    news.append(index.SETTLED, "a", [0, 0])
    assert list(rounds[second]) == ["g", "f", "c", "d"]  # what others hold comes last, what is settled never
    assert list(rounds[first]) == ["g", "f", "b", "c", "e"]


def test_nobody_reads_what_others_note_while_there_is_a_share(tmp_path, monkeypatch):
    [walk, _] = walks(tmp_path, [f"{n:02}" for n in range(40)], 2)
    read = []
    monkeypatch.setattr(Index, "texts", lambda self: read.append(self) or iter(()))
    for _, _ in zip(walk.round(), range(19), strict=False):
        walk.took()
    assert len(read) == 1


def test_looks_in_vain_are_followed_by_one_at_the_index_and_ever_fewer(tmp_path, monkeypatch):
    [walk] = walks(tmp_path, [f"{n:04}" for n in range(1000)], 1)
    read = []
    monkeypatch.setattr(Index, "texts", lambda self: read.append(self) or iter(()))
    assert len(list(walk.round())) == 1000
    assert len(read) < 15


def test_a_worker_looks_at_some_of_what_others_hold(tmp_path):
    """Each of a thousand would else look at all the others' claims; together they look at each many times."""
    news, runs = Index(tmp_path), [f"{n:04}" for n in range(200)]
    for run_id in runs:
        claim(news, run_id, run_id)
    seen = [list(walk.round()) for walk in walks(tmp_path, runs, 200)]
    assert {len(found) for found in seen} == {64}
    assert {len([run_id for found in seen for run_id in found if run_id == each]) for each in runs} == {64}


@pytest.mark.parametrize(
    "line",
    [
        b"s a []",
        b"s a [1]",
        b"s a {}",
        b"c b []",
        b"f b []",
        b"f b [x]",
        b"t b {x}",
        b"s a [1,s",
        b"s a [1," + b"9" * 5000 + b"]",
    ],
)
def test_a_line_that_makes_no_sense_changes_nothing(tmp_path, line):
    news = Index(tmp_path)
    claim(news, "other")
    [file] = (tmp_path / ".index").iterdir()
    file.write_bytes(file.read_bytes() + line + b"\n")
    [walk] = walks(tmp_path, ["a", "b"], 1)
    assert sorted(walk.round()) == ["a", "b"]


def test_runs_at_the_front_are_next_and_go_back_to_their_places(tmp_path):
    told = [None, ("e", "d"), None, ("c",), ()]
    walk = walk_of(tmp_path, "abcdef", front=lambda: told.pop(0) if told else None)
    run = walk.round()
    assert next(run) == "a"
    found = []
    for _ in range(3):
        found.append(next(run))
        walk.visited(found[-1], done=True)
    assert found == ["e", "d", "c"]
    assert list(run) == ["b", "f"]
    assert list(walk.left) == ["a", "b", "f"]


def test_beside_a_run_at_the_front_stand_only_such(tmp_path):
    walk = walk_of(tmp_path, "abcdef", front=lambda: ("e", "d"))
    assert next(walk.round()) == "e"
    assert (walk.together(9, of="e"), walk.together(2, of="a")) == (["e", "d"], ["d", "a"])


def test_more_workers_than_runs_all_find_one(tmp_path):
    assert [next(walk.round()) for walk in walks(tmp_path, ["a", "b"], 4)] == ["a", "b", "a", "b"]


def test_what_was_tried_or_let_go_is_free_again_and_what_failed_here_is_left(tmp_path):
    news, [walk] = Index(tmp_path), walks(tmp_path, list("abcd"), 1)
    for run_id in "abc":
        claim(news, run_id, run_id)
    news.append(index.TRIED, "a", {"token": "a"})
    news.append(index.TRIED, "b", {"token": "of another claim"})
    news.append(index.FAILED, "c", {"in": "d"})
    news.append(index.FAILED, "d", {"in": "another dispatch"})
    assert list(walk.round()) == ["a", "d", "b"]


@pytest.mark.slow
def test_a_thousand_workers_look_at_each_run_a_few_times(tmp_path):
    """Each takes a run, looks at nothing else, and is done with it before it takes the next."""
    runs, news, looks, taken = [f"{n:04}" for n in range(1000)], Index(tmp_path), 0, set()
    rounds = [walk.round() for walk in walks(tmp_path, runs, 50)]
    while len(taken) < len(runs):
        for worker, found in enumerate(rounds):
            for run_id in found:
                looks += 1
                if run_id not in taken:
                    taken.add(run_id)
                    claim(news, run_id, str(worker))
                    news.append(index.SETTLED, run_id, [0, 0])
                    break
    assert looks < 2 * len(runs)


def test_the_ledger_counts_attempts_settled_runs_and_those_in_flight_at_their_forecast(tmp_path):
    spending, news = Spending({"a", "b", "c"}), Index(tmp_path)
    reader = Index(tmp_path)

    def spent(without=""):
        for event in reader.news():
            spending.add(event)
        return spending.spent(without=without)

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


def test_what_the_index_calls_settled_is_checked_once_by_all_together(tmp_path, monkeypatch):
    runs, news = [f"{n:04}" for n in range(100)], Index(tmp_path)
    both = walks(tmp_path, runs, 3)
    for run_id in runs:
        news.append(index.SETTLED, run_id, [5, 7, "finished"])
    asked = []
    stamps = {run_id: (5, 7) for run_id in runs if run_id != "0042"}
    monkeypatch.setattr(Index, "stamp_of", lambda _, run_id: asked.append(run_id) or stamps.get(run_id))
    for walk in both:
        assert list(walk.round()) == []
    assert sorted(walk.check() for walk in both) == [0, 0, 1]
    assert sorted(asked) == runs
    assert sorted(list(walk.round()) for walk in both) == [[], [], ["0042"]]
    assert sum(walk.check() for walk in both) == 0


def test_a_queue_is_read_by_its_places_where_they_are_whole(tmp_path):
    queue, places_file = tmp_path / "queue.jsonl", tmp_path / "queue.places"
    a, b, c = Entry("a", 1.0, group="4GB", needs=("c",)), Entry("b", 2.0, group="8GB"), Entry("c", 3.0, keeps=(7,))
    write_queue(queue, [a, b, c])
    whole = places_file.read_text()
    older = "".join("\t".join(line.split("\t")[:4]) + "\n" for line in whole.splitlines())
    for places in (whole, older, whole[:-9], whole[:20], ""):
        places_file.write_text(places)
        every, one = LazyQueue(queue), LazyQueue(queue, "8GB")
        assert (every.run_ids, one.run_ids) == (["a", "b", "c"], ["b"])
        assert [(every.get(run_id) or Entry("none", 0.0)).C for run_id in "abc"] == [1.0, 2.0, 3.0]
        if places != older:
            assert (list(every.needs("a")), every.keeps("c"), every.keepers) == (["c"], (7,), {"c"})
    places_file.write_text(whole)
    queue.unlink()
    gone = LazyQueue(queue)
    assert [gone.get(run_id) for run_id in gone.run_ids] == [None] * 3  # which is told of each


def test_a_run_that_was_settled_without_the_weights_that_are_asked_for_stays(tmp_path):
    """As where stages are added to a sweep while what they start from is in other jobs."""
    queue, news = tmp_path / "queue.jsonl", Index(tmp_path)
    write_queue(queue, [Entry("a", 1.0, keeps=(60, 119)), Entry("b", 1.0), Entry("c", 1.0)])
    lazy = LazyQueue(queue)
    assert [lazy.keeps(run_id) for run_id in lazy.run_ids] == [(60, 119), (), ()]
    walk = QueueWalk(lazy, Task(SweepFolder(tmp_path, "sweep"), queue), news)
    claim(news, "a")
    news.append(index.SETTLED, "a", [0, 0])
    news.append(index.SETTLED, "b", [0, 0])
    assert list(walk.round()) == ["a", "c"]
    assert list(walk.left) == ["a", "c"]


def test_a_record_out_of_reach_is_no_settled_run_and_ends_no_worker(folder):
    """It is looked at in its turn, where a worker tells of it."""
    news, files, queue = Index(folder.results), folder.run("a"), folder.path / "queue.jsonl"
    write_queue(queue, [Entry("a", 1.0, keeps=(60,)), Entry("b", 1.0)])
    for run_id in "ab":
        news.append(index.SETTLED, run_id, [5, 7])
        folder.run(run_id).path.mkdir(parents=True)
        folder.run(run_id).record.symlink_to("record.json")  # a link to itself: no file can be reached by it
    with pytest.raises(OSError, match="symbolic links"):
        is_settled(files)
    walk = QueueWalk(LazyQueue(queue), Task(folder, queue), news)
    assert list(walk.round()) == ["a"]
    assert walk.check() == 1
    assert list(walk.round()) == ["a", "b"]


def test_a_label_is_what_one_types():
    overrides = {"model.depth": None, "train.budget": 4e8, "model.kwargs": {"a": [1, True]}}
    assert Entry("a", 1.0, run={"overrides": overrides}).label == " ".join(as_overrides(overrides))
    assert "model.depth=null train.budget=4e+08" in Entry("a", 1.0, run={"overrides": overrides}).label
    assert Entry("a", 1.0).label == "a"
