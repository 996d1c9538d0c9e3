"""Each member of a stack has its own length, end, checkpoint and company: what happens to one disturbs no other."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter

import pytest
import torch

from scaling.folders import read_lines
from scaling.train.output.checkpoint import read_checkpoint
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.output.saver import Saver
from scaling.train.run import train_run
from scaling.train.stacked import single_run as single
from scaling.train.stacked.users.vmapped import NotStackable
from tests.train.killed import kill_stack_at
from tests.train.runs import Blobs, essence, folder_of, stopped_after
from tests.train.stacked.stacks import alone, losses, records, stacked, together
from tests.train.stacked.test_against_single import ROUNDING
from tests.waiting import Clock

MODULE = "tests.train.stacked.test_members"
SIZED = {"is": "blobs", "size": 500}
DROPOUT = {"is": "bottleneck", "width": 12, "depth": 2, "dropout": 0.2}
TRAIN = {"milestones": 4, "clip": 1.0}
KEYS = {
    name: {"train": {"steps": steps, **TRAIN}, "model": DROPOUT, "data": SIZED, "seed": seed}
    for seed, (name, steps) in enumerate((("long", 120), ("middle", 90), ("short", 40)))
}
CASES = {name: stacked({**keys, "train": {**keys["train"], "checkpoint_seconds": 0.0}}) for name, keys in KEYS.items()}
RUNS = [stacked(keys) for keys in KEYS.values()]


def close(record, wanted) -> bool:
    """Whether two records are of one run, but for rounding."""
    assert [point.step for point in record.points] == [point.step for point in wanted.points]
    return losses(record) == pytest.approx(losses(wanted), rel=ROUNDING)


@pytest.mark.slow
def test_one_that_is_no_longer_finite_ends_alone(tmp_path):
    keys = [{"train": {"steps": 200}, "optim": {"is": "sgd", "lr": lr}, "seed": 3} for lr in (0.1, 1e30, 0.05)]
    fine, lost, other = records([stacked(k) for k in keys], tmp_path)
    wanted = alone(keys[1], tmp_path / "alone")
    assert (lost.status, lost.points[-1].step) == (wanted.status, wanted.points[-1].step) == ("diverged", 64)
    raw = json.loads(folder_of(stacked(keys[1]), tmp_path).record.read_text())
    assert raw["points"][-1]["loss"] is None
    for record, k in ((fine, keys[0]), (other, keys[2])):
        assert close(record, alone(k, tmp_path / "alone"))


def test_the_files_are_those_of_a_run_trained_alone(tmp_path):
    keys = {"train": {"steps": 40, "milestones": 4, "keep": "milestones", "filters": True}, "data": SIZED}
    run, eager = stacked(keys), stacked(keys, engine="eager")
    records([run, stacked({**keys, "seed": 1})], tmp_path)
    alone(keys, tmp_path)
    found, wanted = folder_of(run, tmp_path), folder_of(eager, tmp_path)
    assert {p.relative_to(found.path) for p in found.path.rglob("*")} == {
        p.relative_to(wanted.path) for p in wanted.path.rglob("*")
    }
    assert [line["step"] for line in read_lines(found.log)] == list(run.quantities.milestones)
    weights, own = (read_kept_weights(folder, 40).model for folder in (found, wanted))
    assert list(weights) == list(own)
    assert all(torch.allclose(weights[name], own[name], atol=1e-5) for name in own)
    assert found.kept_weights(40).stat().st_size < 1.1 * wanted.kept_weights(40).stat().st_size


@pytest.mark.slow
def test_one_that_is_stopped_leaves_a_checkpoint_of_a_single_run(tmp_path, every_step):
    runs = RUNS
    ends = together(runs, tmp_path, stops={runs[0].run_id: stopped_after(60)})
    assert [end.result is None for end in ends] == [True, False, False]
    folder, eager = folder_of(runs[0], tmp_path), stacked(KEYS["long"], engine="eager")
    state = read_checkpoint(folder.checkpoint, runs[0].run_id)["trainer"]
    assert train_run(eager, folder_of(eager, tmp_path), device="cpu", stop=stopped_after(state["step"] - 1)) is None
    single = read_checkpoint(folder_of(eager, tmp_path).checkpoint, eager.run_id)["trainer"]
    assert single.keys() == state.keys()
    assert single["optimizer"]["param_groups"][0].keys() == state["optimizer"]["param_groups"][0].keys()
    assert single["global"].keys() == state["global"].keys()
    assert torch.equal(single["global"]["torch"][0], state["global"]["torch"][0])
    for index, moments in single["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.allclose(state["optimizer"]["state"][index][name], value, rtol=1e-3, atol=1e-6)
    for end, name in zip(ends[1:], list(KEYS)[1:], strict=True):
        assert close(end.result, alone(KEYS[name], tmp_path))
    assert close(train_run(runs[0], folder, device="cpu"), alone(KEYS["long"], tmp_path / "straight"))


def test_milestones_that_are_asked_for_when_they_are_passed_are_left_out(tmp_path, every_step):
    """As a run that is trained alone leaves them out."""
    keys = {"train": {"steps": 90}, "data": SIZED}
    more, found = {**keys, "train": {"steps": 90, "milestones": 4}}, dict[str, list[int]]()
    for engine, train in (("stacked", records), ("eager", lambda runs, results: [trained(runs[0], results)])):
        before, after = (stacked(each, engine=engine) for each in (keys, more))
        assert before.run_id == after.run_id
        trained(before, tmp_path, stop=stopped_after(50))
        [record, *_] = train([after, stacked({**more, "seed": 1}, engine=engine)], tmp_path)
        found[engine] = [point.step for point in record.points]
    assert found["stacked"] == found["eager"] == [90]


def trained(run, results, **facts):
    return train_run(run, folder_of(run, results), device="cpu", **facts)


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 60])
def test_members_of_a_killed_stack_go_on_alone_or_in_another_one(count, tmp_path):
    kill_stack_at("stacked step", count, module=MODULE, cases=list(CASES), results=tmp_path)
    folders = {name: folder_of(run, tmp_path) for name, run in CASES.items()}
    assert {name for name in CASES if folders[name].record.exists()} == ({"short"} if count > 40 else set())
    left = [name for name in CASES if not folders[name].record.exists()]
    assert all(folders[name].checkpoint.exists() for name in left)
    [lonely, *others] = left
    found = {lonely: train_run(CASES[lonely], folders[lonely], device="cpu")}
    fresh = {**KEYS["long"], "seed": 9}
    *company, begun = records([*(CASES[name] for name in others), stacked(fresh)], tmp_path)
    assert close(begun, alone(fresh, tmp_path / "straight"))
    found |= dict(zip(others, company, strict=True))
    for name, record in found.items():
        assert close(record, alone(KEYS[name], tmp_path / "straight"))
        assert not folders[name].checkpoint.exists()


class Waiting(Saver):
    """Writes a checkpoint only when it is waited for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.gate = threading.Event()

    def wait(self):
        self.gate.set()
        super().wait()
        self.gate.clear()

    def _timed(self, *arguments):
        self.gate.wait()
        return super()._timed(*arguments)

    def __exit__(self, *error):
        self.gate.set()
        super().__exit__(*error)


def test_a_checkpoint_that_is_being_written_when_its_run_ends_is_not_left_behind(tmp_path, every_step, monkeypatch):
    monkeypatch.setattr("scaling.train.stacked.loop.Saver", Waiting)
    runs = [stacked({"train": {"steps": steps, "checkpoint_seconds": 0.0}, "data": SIZED}) for steps in (20, 40)]
    records(runs, tmp_path)
    assert not list(tmp_path.rglob("checkpoint"))


def test_an_error_of_one_is_its_own(tmp_path):
    keys = {"train": {"steps": 30}, "data": SIZED}
    runs = [stacked(keys), stacked({**keys, "data": {"is": "npz", "file": "none.npz", "root": str(tmp_path), **NPZ}})]
    fine, failed = together(runs, tmp_path)
    assert "none.npz" in str(failed.result)
    assert close(fine.result, alone(keys, tmp_path / "alone"))


NPZ = {"classes": 3, "features": 6, "examples": 500}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("Forgetful", "vmap", marks=pytest.mark.slow),
        ("Noisy", "random streams"),
        ("Annealed", "none of its buffers"),
        ("Lazy", "its first batch"),
        pytest.param("Dropping", "random streams", marks=pytest.mark.slow),
    ],
)
def test_modules_that_cannot_be_stacked_are_trained_one_by_one_and_it_is_said(name, why, tmp_path, caplog):
    keys = {"train": {"steps": 30}, "model": {"is": "custom", "module": f"tests.train.nets.{name}"}}
    run = stacked(keys)
    single._log_reason.cache_clear()  # once a process, of which another test may have had its own
    with pytest.raises(NotStackable, match=why):
        together([run, stacked({**keys, "seed": 1})], tmp_path)
    with caplog.at_level(logging.WARNING):
        record = train_run(run, folder_of(run, tmp_path), device="cpu")
    assert why in record.how["stack"]
    assert why in caplog.text
    wanted = essence(alone(keys, tmp_path))
    assert {**essence(record), "run_id": "", "config": ""} == {**wanted, "run_id": "", "config": ""}


def test_the_time_is_divided_among_the_members(tmp_path, monkeypatch):
    """Those that stay longer have more of it, and the record says as much as its attempt."""
    clock = Clock(pace=0.01)  # seconds a look
    monkeypatch.setattr("scaling.train.stacked.clock.monotonic", clock)
    began, ends = clock.now, together(RUNS, tmp_path)
    assert sum(end.seconds for end in ends) == pytest.approx(clock.now - began, rel=0.1)
    assert ends[2].seconds < ends[1].seconds < ends[0].seconds
    assert [end.result.how["seconds"] for end in ends] == [pytest.approx(end.seconds, abs=0.02) for end in ends]


@pytest.mark.slow
def test_stacks_that_take_turns_are_each_what_it_is_alone(tmp_path):
    wide = [stacked({**keys, "model": {**DROPOUT, "width": 16}}) for keys in KEYS.values()]
    mixed = [run for pair in zip(RUNS, wide, strict=True) for run in pair]
    found = records(mixed, tmp_path / "turns")
    each = [*records(RUNS, tmp_path / "a"), *records(wide, tmp_path / "b")]
    wanted = {record.run_id: essence(record) for record in each}
    assert [essence(record) for record in found] == [wanted[record.run_id] for record in found]
    assert {record.how["stack"] for record in found} == {3}


def test_members_at_different_steps_of_one_order_draw_each_chunk_once(tmp_path, monkeypatch, every_step):
    """A run that was stopped goes on beside a new one: neither throws away what the other has drawn."""
    drawn, draw = list[tuple[int, ...]](), Blobs._draw

    def counted(self, n, *seed):
        drawn.append(seed)
        return draw(self, n, *seed)

    monkeypatch.setattr(Blobs, "_draw", counted)
    keys = {"train": {"steps": 120}, "seed": 1}
    old, new = stacked(keys), stacked({**keys, "optim": {"is": "adamw", "lr": 0.003}})
    together([old], tmp_path, stops={old.run_id: stopped_after(60)})
    drawn.clear()
    records([old, new], tmp_path)
    assert max(Counter(seed for seed in drawn if seed[0] == 5 and seed[-1]).values()) <= 2
