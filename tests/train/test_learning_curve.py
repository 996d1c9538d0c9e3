"""The learning curve of a run: few points in its log, the same alone, cut off or in a stack; it changes nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from scaling.folders import read_lines
from scaling.train.output.curve import EXAMPLES
from scaling.train.output.curve_steps import curve_steps
from scaling.train.run import train_run
from scaling.train.sizes import CHECK_STEPS
from tests.default_cases import default_cases
from tests.train.runs import essence, folder_of, planned, stopped_after
from tests.train.stacked.stacks import stacked, together

BATCH_NORM = {"is": "bottleneck", "width": 8, "depth": 1, "dropout": 0.2, "norm": "batch"}
NOISY, MAPPED = ({"is": "custom", "module": f"tests.train.nets.{name}"} for name in ("Noisy", "Net"))
SIZED = {"is": "blobs", "size": 500}


def curve(run, results):
    """The points of a run's curve: steps, and the two losses."""
    lines = [line for line in read_lines(folder_of(run, results).log) if "final" not in line]
    return [line["step"] for line in lines], [(line["train_loss"], line["val_loss"]) for line in lines]


@pytest.mark.parametrize("steps", [1, 63, 64, 128, 129, 300, 512, 513, 24_000, 1_000_000])
def test_points_are_few_and_where_the_loop_looks_in_any_case(steps):
    found = curve_steps(planned({"steps": steps}))
    assert (len(found) >= 3) == (steps > 2 * CHECK_STEPS)
    assert list(found) == sorted(set(found))
    assert all(step % CHECK_STEPS == 0 for step in found[:-1])
    assert len(found) <= 4 + max(0, 2 * (steps // CHECK_STEPS).bit_length())
    if found:
        assert found[-1] == steps
        assert all(late <= 2 * early for early, late in pairwise(found))


def test_points_of_its_own_are_a_curve_already():
    assert curve_steps(planned({"steps": 5000, "milestones": 2}))
    assert not curve_steps(planned({"steps": 5000, "milestones": 3}))


def test_the_curve_is_of_the_first_examples_and_ends_where_the_run_does(tmp_path):
    run = planned({"steps": 300}, data={"is": "blobs", "size": EXAMPLES[0]})
    record = train_run(run, folder_of(run, tmp_path), device="cpu")
    steps, losses = curve(run, tmp_path)
    assert steps == [64, 128, 256, 300]
    assert [point.step for point in record.points] == [300]
    assert losses[-1][0] == pytest.approx(record.points[-1].train_loss, rel=1e-6)  # the whole training set
    assert losses[0][0] > losses[-1][0]


@pytest.mark.parametrize("model", default_cases([BATCH_NORM, NOISY], BATCH_NORM))
def test_a_run_is_the_same_without_its_curve(model, tmp_path, monkeypatch):
    run = planned({"steps": 140}, model=model, data=SIZED)
    found = train_run(run, folder_of(run, tmp_path / "with"), device="cpu")
    assert curve(run, tmp_path / "with")[0] == [64, 128, 140]
    monkeypatch.setattr("scaling.train.train_by_steps.curve_steps", lambda run: ())
    assert essence(train_run(run, folder_of(run, tmp_path / "without"), device="cpu")) == essence(found)
    assert curve(run, tmp_path / "without")[0] == []


def test_a_run_that_was_cut_off_has_the_same_curve(tmp_path, every_step):
    run = planned({"steps": 140}, data=SIZED)
    train_run(run, folder_of(run, tmp_path / "straight"), device="cpu")
    for asked in (63, 64, 5):  # before, at and behind a point
        assert train_run(run, folder_of(run, tmp_path / "cut"), device="cpu", stop=stopped_after(asked)) is None
    train_run(run, folder_of(run, tmp_path / "cut"), device="cpu")
    assert curve(run, tmp_path / "cut") == curve(run, tmp_path / "straight")


@pytest.mark.parametrize("model", default_cases([BATCH_NORM, MAPPED], BATCH_NORM))
def test_members_of_a_stack_have_the_curves_of_runs_alone(model, tmp_path):
    """Two go together for a while; of the third's training set there is less than the others' samples hold."""
    sizes = (500, 500, 60)
    keys = [
        {"train": {"steps": steps}, "model": model, "data": {"is": "blobs", "size": size}, "seed": seed}
        for seed, (steps, size) in enumerate(zip((150, 140, 130), sizes, strict=True))
    ]
    together([stacked(k) for k in keys], tmp_path)
    for k in keys:
        run = stacked(k, engine="eager")
        train_run(run, folder_of(run, tmp_path), device="cpu")
        steps, losses = curve(stacked(k), tmp_path)
        wanted, own = curve(run, tmp_path)
        assert steps == wanted
        assert torch.allclose(torch.tensor(losses), torch.tensor(own), rtol=5e-3)
