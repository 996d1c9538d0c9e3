"""Probe and ridge: what a frozen body's features give, and that the body stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from scaling.data.base import SPLITS
from scaling.errors import UserError
from scaling.models.blocks import Network
from scaling.stages.closed_form import training_subset
from scaling.stages.feature_cache import cached_splits, feature_key
from scaling.stages.features import SEVERAL, content_of_features, feature_sets
from scaling.stages.networks import parent_network
from scaling.train.attempt import PlacedRun
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from tests.stages.family import PIXELS, child_run, done, folder_of, parent_run
from tests.train.runs import essence, planned

CPU = torch.device("cpu")


def key_of(run, splits=SPLITS):
    return feature_key(run.config, run.quantities.D_unique, splits, precision="fp32")


def cache_of(run, results):
    """Return the folder of a run's features."""
    splits = run.config.data.load(run.quantities.D_unique)
    content = content_of_features(PlacedRun(run, folder_of(run, results), CPU), splits)
    return results / "features" / feature_key(run.config, run.quantities.D_unique, precision="fp32", content=content)


@pytest.mark.parametrize("kind", ["probe", "ridge"])
def test_the_body_is_left_untouched_bitwise(trained, kind):
    results, parent = trained
    folder = folder_of(parent, results)
    files = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    before = read_kept_weights(folder, 40).model
    run = child_run(parent, kind, train={"keep": "last"} if kind == "probe" else {})
    record = done(run, results)
    assert record.status == "finished"
    assert record.points[-1].error < 0.2
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == files
    if kind == "probe":
        after = read_kept_weights(folder_of(run, results), run.quantities.steps).model
        body = [name for name in before if not name.startswith("head.")]
        assert all(torch.equal(before[name], after[name]) for name in body)
        assert not torch.equal(before["head.weight"], after["head.weight"])


def test_features_are_those_of_the_checkpoint_and_computed_once(trained):
    results, parent = trained
    runs = [child_run(parent, "ridge", step=4), child_run(parent, {"is": "ridge", "shots": 2}, step=4, seed=3)]
    assert key_of(runs[0]) == key_of(runs[1]) != key_of(child_run(parent, "ridge"))
    done(runs[0], results)
    cached = cache_of(runs[0], results)
    stamps = {name: (cached / f"{name}.npy").stat().st_mtime_ns for name in SPLITS}
    done(runs[1], results)
    assert {name: (cached / f"{name}.npy").stat().st_mtime_ns for name in SPLITS} == stamps
    network = parent_network(PlacedRun(runs[0], folder_of(runs[0], results), CPU), new_head=True)
    sets = feature_sets(PlacedRun(runs[0], folder_of(runs[0], results), CPU))
    with torch.no_grad():
        seen = torch.tensor((sets.splits.test.x[:9] - 128.0) / 20.0, dtype=torch.float32)
        wanted = network.blocks(network.embed(seen.flatten(1)))
    torch.testing.assert_close(sets.test.x[:9], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:99])])
def test_a_damaged_cache_is_made_again(trained, damage):
    results, parent = trained
    run = child_run(parent, "ridge", step=4, seed=9)
    first = done(run, results)
    damage(cache_of(run, results) / "test.npy")
    assert essence(done(run, results)) == essence(first)


def test_what_a_killed_process_left_aside_is_cleared_away(trained):
    results, parent = trained
    run = child_run(parent, "ridge", step=4, seed=10)
    done(run, results)
    (cache_of(run, results) / "test.npy").unlink()
    folder_of(run, results).record.unlink()
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    left = {
        pid: results / "features" / f".{cache_of(run, results).name}.{os.uname().nodename}.{pid}.1"
        for pid in (dead.pid, os.getppid())
    }
    for folder in left.values():
        folder.mkdir()
    done(run, results)
    assert not left[dead.pid].exists()
    assert left[os.getppid()].exists()


def test_ridge_is_that_of_scikit_learn(trained):
    from sklearn.linear_model import Ridge as ScikitRidge  # dear to import

    results, parent = trained
    for shots in (None, 3):  # more examples than features, and fewer
        run = child_run(parent, {"is": "ridge", "shots": shots, "penalties": [0.03]}, seed=5)
        record = done(run, results)
        sets = feature_sets(PlacedRun(run, folder_of(run, results), CPU))
        chosen = training_subset(sets)
        assert len(chosen) == (600 if shots is None else 9)
        onehot = np.eye(3)[chosen.y.numpy()]
        other = ScikitRidge(alpha=record.data["facts"]["alpha"]).fit(chosen.x.double().numpy(), onehot)
        outputs = other.predict(sets.test.x.double().numpy())
        truth = sets.test.y.numpy()
        assert record.points[-1].error == pytest.approx(np.mean(outputs.argmax(1) != truth))
        assert record.points[-1].loss == pytest.approx(np.mean(np.sum((outputs - np.eye(3)[truth]) ** 2, axis=1)))


def test_the_penalty_is_chosen_on_the_validation_set(trained):
    results, parent = trained
    few = {"is": "ridge", "shots": 2}
    chosen = done(child_run(parent, few, seed=2), results).points[-1]
    alone = [
        done(child_run(parent, {**few, "penalties": [penalty]}, seed=2), results).points[-1]
        for penalty in (1e-6, 1e-3, 1.0, 100.0)
    ]
    assert chosen.val_error <= min(point.val_error for point in alone)


def test_a_probe_counts_its_own_compute(trained):
    _, parent = trained
    run = child_run(parent, "probe")
    body = 2 * (6 * 16 + 2 * 4 * 16 * 16)  # multiply-adds of the embedding and one bottleneck, FLOPs
    assert run.quantities.D == 1200
    assert 600 * body + 3 * 2 * 16 * 3 * 1200 == run.quantities.C
    row = run.row()
    assert (row["C"], row["D"], row["steps"]) == (parent.quantities.C, parent.quantities.D, 40)
    assert (row["stage_C"], row["stage_D"]) == (run.quantities.C, 1200)


def test_a_probe_with_cached_features_applies_nothing_but_its_head(trained, applied):
    """Each step and each evaluation passes its examples through one linear map, as if there were no body."""
    results, parent = trained
    first, *others = (child_run(parent, "probe", step=4, train={"epochs": 4}, seed=seed) for seed in range(3))
    done(first, results)
    applied.clear()
    for run in others:
        done(run, results)
    steps, evaluations = first.quantities.steps, 3 * len(first.quantities.milestones)
    assert Counter(applied) == {"Dense": 2 * (steps + evaluations)}


@pytest.fixture
def applied():
    """The modules that are applied while the test runs, by name, in order."""
    names = []
    hook = register_module_forward_hook(lambda module, *_: names.append(type(module).__name__))
    yield names
    hook.remove()


def test_a_few_shots_cost_the_features_of_a_few_examples_whatever_is_in_the_cache(tmp_path):
    """Those of the held-out splits are shared by all numbers of shots, all seeds and all sizes of the pool."""
    parent = parent_run()
    done(parent, tmp_path)
    seen = []

    def see(module, x, _):
        if isinstance(module, Network):
            seen.append(len(x[0]))

    runs = [child_run(parent, {"is": "ridge", "shots": shots}, seed=seed) for shots, seed in ((2, 3), (4, 5))]
    smaller = child_run(parent, {"is": "ridge", "shots": 2}, data={**PIXELS, "size": 300})
    hook = register_module_forward_hook(see)
    try:
        records = [done(run, tmp_path) for run in (*runs, smaller)]
    finally:
        hook.remove()
    assert seen == [200, 300, SEVERAL, SEVERAL, SEVERAL]
    assert len({key_of(run, cached_splits(run.config)) for run in (*runs, smaller)}) == 1
    done(child_run(parent, "ridge"), tmp_path)
    folder_of(runs[0], tmp_path).record.unlink()
    assert essence(done(runs[0], tmp_path)) == essence(records[0])
    constant = np.eye(3)[parent.config.data.load(600).train.y].mean(0)
    wanted = np.square(np.eye(3)[parent.config.data.load(600).test.y] - constant).sum(1).mean()
    assert records[0].data["chance"] == pytest.approx(wanted)  # of the whole subset


def test_a_probes_budget_pays_for_its_features_first():
    parent = parent_run()
    features = child_run(parent, "probe").quantities.once
    budget = 2.0 * features
    wanted = {"epochs": None, "budget": budget, "milestones": {"unit": "flops", "at": [1.5 * features]}}
    found = child_run(parent, "probe", train=wanted).quantities
    assert 0 <= budget - found.C < found.counts.C(found.batch)
    first, last = (found.at(step) for step in found.milestones)
    assert pytest.approx(1.5 * features, abs=found.counts.C(found.batch)) == first.C
    assert last.final
    with pytest.raises(UserError, match=r"the features of 600 examples take before the first step"):
        child_run(parent, "probe", train={"epochs": None, "budget": 0.9 * features})


def test_what_cannot_be_started_from_is_said_in_a_sentence(trained):
    results, parent = trained
    ridge = child_run(parent, "ridge")
    cases = {
        "trains no network": lambda: child_run(ridge, "probe"),
        "the milestones of run": lambda: child_run(parent, "probe", step=7),
        "give data.size": lambda: child_run(parent, "probe", data={"is": "blobs", "pixels": True}),
        "that reads": lambda: child_run(parent, "probe", data={"is": "blobs", "size": 100}),
        "no head of its own": lambda: child_run(
            planned({"steps": 4}, model={"is": "linear", "width": 3}, data="line"),
            "probe",
            data={"is": "line", "size": 99},
        ),
        "shots": lambda: child_run(parent, {"is": "ridge", "shots": 999}),
        "a regression; wanted classes": lambda: child_run(
            planned({"steps": 4}, data="line"), {"is": "ridge", "shots": 2}, data={"is": "line", "size": 99}
        ),
        "same classes": lambda: child_run(parent, "tta", data="digits"),
    }
    for said, make in cases.items():
        with pytest.raises(UserError, match=said):
            make()
    other = parent_run(steps=44, milestones=None)
    run = child_run(other, "probe")
    with pytest.raises(UserError, match=r"train\.keep=milestones"):
        train_run(run, folder_of(run, results), device="cpu")
    run = child_run(parent, {"is": "ridge", "shots": 199})  # of 600 examples of three classes of random sizes
    with pytest.raises(UserError, match=r"found 1\d\d examples of class \d in .*wanted stage\.shots=199 of each"):
        train_run(run, folder_of(run, results), device="cpu")
