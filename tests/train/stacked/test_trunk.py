"""Trunks and branches as stacks: each ends as the run that is trained alone does, but for rounding."""

from __future__ import annotations

import pytest

from scaling.plan.trunk import share_trunks
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint
from scaling.train.run import train_run
from tests.train.runs import folder_of
from tests.train.stacked.stacks import alone, losses, records, stacked, together

LENGTHS, SEEDS = (20, 40, 80), (0, 1)


def keys(steps: int, seed: int) -> dict:
    return {"train": {"steps": steps}, "seed": seed, "schedule": "wsd", "optim": {"is": "adamw", "lr": 1e-2}}


def forked() -> dict[tuple[int, int], object]:
    made = {(steps, seed): stacked(keys(steps, seed)) for steps in LENGTHS for seed in SEEDS}
    shared = share_trunks({run.run_id: run for run in made.values()})
    return {place: shared[run.run_id] for place, run in made.items()}


def forks(results) -> list[str]:
    return sorted(path.name for path in results.glob("runs/*/forks/*"))


def test_branches_end_as_runs_trained_alone(tmp_path):
    runs = forked()
    trunks = [runs[80, seed] for seed in SEEDS]
    found = dict(zip(((80, seed) for seed in SEEDS), records(trunks, tmp_path / "a"), strict=True))
    assert forks(tmp_path / "a") == ["17", "17", "33", "33"]
    rest = [place for place in runs if place[0] != 80]
    found |= zip(rest, records([runs[place] for place in rest], tmp_path / "a"), strict=True)
    assert forks(tmp_path / "a") == []
    for place, record in found.items():
        assert losses(record) == pytest.approx(losses(alone(keys(*place), tmp_path / "b")), rel=2e-5)
    assert [found[place].how["forked"]["step"] for place in rest] == [17, 17, 33, 33]


def test_a_trunk_that_is_no_longer_finite_at_a_fork_ends_there_and_leaves_none(tmp_path):
    lengths = [{**keys(steps, 0), "optim": {"is": "sgd", "lr": 1e30}} for steps in LENGTHS]
    for engine in ("eager", "stacked"):
        made = [stacked(each, engine=engine) for each in lengths]
        trunk = share_trunks({run.run_id: run for run in made})[made[-1].run_id]
        record = train_run(trunk, folder_of(trunk, tmp_path / engine), device="cpu")
        assert (record.status, record.points[-1].step) == ("diverged", 17)
        assert forks(tmp_path / engine) == []


def test_states_of_an_attempt_that_is_not_continued_are_replaced(tmp_path):
    runs = forked()
    trunk = runs[80, SEEDS[0]]
    old = folder_of(trunk, tmp_path).fork(17)
    write_checkpoint(old, trunk.run_id, {"trainer": {"step": 0}})
    records([trunk], tmp_path)
    assert read_checkpoint(old, trunk.run_id)["trainer"]["step"] == 17


def test_a_trunk_that_is_stopped_leaves_its_forks_when_it_goes_on(tmp_path, every_step):
    runs = forked()
    trunks = [runs[80, seed] for seed in SEEDS]
    seen = iter(range(1000))
    stop = {trunks[0].run_id: lambda: next(seen) > 25}
    assert together(trunks, tmp_path, stops=stop)[0].result is None
    together(trunks[:1], tmp_path)
    assert forks(tmp_path) == ["17", "17", "33", "33"]
