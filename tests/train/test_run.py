"""What one run does and what it writes down."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from math import inf, log, nan

import numpy as np
import pytest
import torch
import yaml

from scaling.config import plain, read_config
from scaling.data.base import Arrays, Splits
from scaling.errors import UserError
from scaling.folders import read_lines
from scaling.record import read_record
from scaling.train.errors import OutOfMemory, explain_memory_errors
from scaling.train.evaluation import Evaluation, evaluate, has_diverged
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import TICK_SECONDS
from scaling.train.losses import Score
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.precision import matmul_precision
from scaling.train.run import train_run
from tests.default_cases import default_cases
from tests.train.runs import essence, folder_of, planned
from tests.waiting import Clock

CPU = torch.device("cpu")
TOO_LITTLE_MEMORY = [
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA driver error: out of memory",
    "CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
    "unable to mmap 16 bytes from file <x>: Cannot allocate memory (12)",
    "std::bad_alloc",
]


def trained(run, tmp_path, **keys):
    return train_run(run, folder_of(run, tmp_path), device="cpu", **keys)


@pytest.mark.parametrize(
    ("model", "optim"),
    default_cases(
        product(["mlp", "bottleneck"], ["adamw", "lion", "sgd"]),
        ("mlp", "adamw"),
        ("bottleneck", "lion"),
        ("mlp", "sgd"),
    ),
)
def test_every_family_learns_with_every_optimiser(model, optim, tmp_path):
    lr = {"adamw": 0.01, "lion": 0.005, "sgd": 0.3}[optim]
    record = trained(planned({"steps": 150}, model=model, optim={"is": optim, "lr": lr}), tmp_path)
    assert record.status == "finished"
    assert record.flags == ()
    final = record.points[-1]
    assert final.loss < 0.5 * log(3)
    assert final.error < 0.2


def test_a_settled_run_leaves_config_log_and_record(tmp_path):
    run = planned({"steps": 100, "milestones": 4}, data={"is": "blobs", "size": 500})
    record = trained(run, tmp_path)
    folder = folder_of(run, tmp_path)
    assert {path.name for path in folder.path.iterdir()} == {"config.yaml", "log.jsonl", "record.json"}
    assert read_config(yaml.safe_load(folder.config.read_text())) == run.config
    assert read_record(folder).to_dict() == record.to_dict()
    raw = json.loads(folder.record.read_text())
    assert list(raw["how"]) >= ["seconds"]
    assert raw["config"] == plain(run.config)
    logged = [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(folder.log)]
    assert logged == raw["points"]


def test_points_stand_at_the_milestones(tmp_path):
    run = planned({"epochs": 2, "milestones": [0.5, 1]}, data={"is": "blobs", "size": 320})
    points = trained(run, tmp_path).points
    assert [(p.step, p.D, p.epochs, p.final) for p in points] == [
        (5, 160, 0.5, False),
        (10, 320, 1, False),
        (20, 640, 2, True),
    ]
    counts = run.quantities.counts
    assert [(p.C, p.C_counted) for p in points] == [(counts.C(p.D), counts.C_counted(p.D)) for p in points]


def test_evaluation_does_not_disturb_training(tmp_path):
    model = {"is": "bottleneck", "width": 8, "depth": 1, "dropout": 0.3, "norm": "batch"}
    often = trained(planned({"steps": 80, "milestones": 20}, model=model), tmp_path / "often")
    once = trained(planned({"steps": 80}, model=model), tmp_path / "once")
    assert often.points[-1] == once.points[-1]
    assert often.run_id == once.run_id


def test_the_same_run_twice_is_the_same_record(tmp_path):
    torch.manual_seed(99)  # what stands in torch's own generator matters to nobody, and stays
    before = torch.get_rng_state()
    run = planned({"steps": 30}, model={"is": "mlp", "width": 8, "depth": 1, "dropout": 0.5})
    first = trained(run, tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(17)
    assert essence(trained(run, tmp_path / "b")) == essence(first)


def test_a_seed_moves_initialisation_order_and_stream(tmp_path):
    losses = {trained(planned({"steps": 10}, seed=seed), tmp_path).points[-1].loss for seed in range(3)}
    assert len(losses) == 3


def test_bytes_are_normalised_alike_whole_and_in_batches(tmp_path, monkeypatch):
    run = planned({"steps": 40}, data={"is": "blobs", "size": 100, "pixels": True})
    whole = trained(run, tmp_path / "a")
    monkeypatch.setattr("scaling.train.sizes.NORMALISED_BYTES", 0)
    assert essence(trained(run, tmp_path / "b")) == essence(whole)


@pytest.mark.parametrize("augment", default_cases(["none", {"is": "standard", "scale": (0.5, 1.0)}], "none"))
def test_a_batch_in_parts_is_the_same_run_up_to_rounding(augment, tmp_path):
    data = {"is": "blobs", "size": 320, "pixels": True}
    keys = {"data": data, "augment": augment, "optim": {"is": "sgd", "lr": 0.05, "momentum": 0.9}}
    whole, *parts = (
        planned({"steps": 60, "clip": 1.0, "label_smoothing": 0.1, "micro_batch": size, "milestones": 3}, **keys)
        for size in (None, 16, 5, 32)
    )
    wanted = trained(whole, tmp_path / "whole").points
    for index, run in enumerate(parts):
        assert run.run_id == whole.run_id
        points = trained(run, tmp_path / str(index)).points
        assert [p.loss for p in points] == pytest.approx([p.loss for p in wanted], rel=2e-5)
    assert [p.loss for p in points] == [p.loss for p in wanted]  # a micro-batch as large as the batch: bit for bit


def test_a_batch_in_parts_is_refused_where_its_statistics_matter(tmp_path):
    run = planned({"steps": 5, "micro_batch": 8}, model={"is": "mlp", "width": 8, "depth": 1, "norm": "batch"})
    with pytest.raises(UserError, match=r"train\.micro_batch=8 with batch norm"):
        trained(run, tmp_path)


def test_a_micro_batch_is_refused_where_it_would_draw_other_dropout(tmp_path):
    run = planned({"steps": 5, "micro_batch": 8}, model={"is": "mlp", "width": 8, "depth": 1, "dropout": 0.1})
    with pytest.raises(UserError, match=r"train\.micro_batch=8 with dropout"):
        trained(run, tmp_path)


def test_a_micro_batch_is_refused_where_a_user_s_module_would_draw_others(tmp_path):
    model = {"is": "custom", "module": "tests.train.nets.Net"}
    assert trained(planned({"steps": 2, "micro_batch": 8}, model=model), tmp_path).status == "finished"
    run = planned({"steps": 5, "micro_batch": 8}, model={"is": "custom", "module": "tests.train.nets.Noisy"})
    with pytest.raises(UserError, match=r"train\.micro_batch=8 with Noisy, whose outputs in training depend on"):
        trained(run, tmp_path)


def test_settings_of_rounding_are_given_back(tmp_path):
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    runs = [planned({"steps": 20, "precision": precision}) for precision in ("tf32", "fp32", "auto")]
    assert len({run.run_id for run in runs}) == 3  # an id is the same on every machine, and a GPU tells them apart
    records = [trained(run, tmp_path) for run in runs]
    assert records[0].points == records[1].points == records[2].points  # on a CPU there is no difference,
    assert {record.how["precision"] for record in records} == {"fp32"}  # and the records say so
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize(("precision", "set_to"), [("fp32", ("highest", False)), ("tf32", ("high", True))])
def test_products_and_convolutions_are_rounded_alike(precision, set_to):
    """By default torch rounds the factors of convolutions, also where those of products are not rounded."""
    with matmul_precision(precision):
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == set_to


def test_evaluation_sees_the_examples_as_they_are():
    data = {"is": "blobs", "size": 96, "pixels": True}
    plain, augmented = (planned({"steps": 3}, augment=augment, data=data) for augment in ("none", "standard"))
    assert augmented.run_id != plain.run_id
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
    evaluations = [
        evaluate(run, load_run_data(run.config, run.quantities, torch.device("cpu")), module)
        for run in (plain, augmented)
    ]
    assert evaluations[0] == evaluations[1]


def test_a_run_that_is_no_longer_finite_stops_as_diverged(tmp_path):
    run = planned({"steps": 5000, "milestones": 3}, optim={"is": "sgd", "lr": 1e30})
    record = trained(run, tmp_path)
    assert record.status == "diverged"
    assert record.points[-1].step < 200
    assert record.points[-1].final
    raw = json.loads(folder_of(run, tmp_path).record.read_text())
    assert raw["points"][-1]["loss"] is None


def test_a_run_whose_test_loss_is_infinite_has_diverged():
    finite, infinite = Score(1.0, 0.1), Score(inf, nan)
    none = np.zeros(0)
    splits = Splits(Arrays(none, none), Arrays(none, none), Arrays(none, none), chance=log(3), chance_se=0.0)
    assert has_diverged(Evaluation(infinite, finite, finite), splits)
    assert not has_diverged(Evaluation(finite, infinite, finite), splits)


def test_a_run_that_ends_above_chance_has_diverged(tmp_path):
    keys = {
        "model": {"is": "linear", "width": 4},
        "data": "line",
        "optim": {"is": "sgd", "lr": 1.05},
        "schedule": "constant",
    }
    record = trained(planned({"steps": 20}, **keys), tmp_path)
    assert record.status == "diverged"
    assert 4 < record.points[-1].train_loss < 1000


def test_a_run_that_learnt_nothing_is_flagged(tmp_path):
    record = trained(planned({"steps": 3}, optim={"is": "sgd", "lr": 1e-12}), tmp_path)
    assert (record.status, record.flags) == ("finished", ("at_chance",))


def test_regression_has_no_error(tmp_path):
    record = trained(planned({"steps": 300}, data="line", optim={"is": "adamw", "lr": 0.02}), tmp_path)
    final = record.points[-1]
    assert final.error is None
    assert final.val_error is None
    assert 0.005 < final.loss < 0.1
    assert record.data["metric"] == "squared_error"


@pytest.mark.slow
def test_least_squares_is_exact_and_no_step_beats_it(tmp_path):
    keys = {"model": {"is": "linear", "width": 4}, "data": {"is": "line", "size": 3200}}
    solved = trained(planned({"epochs": 1, "milestones": [0.01, 1]}, optim={"is": "lstsq"}, **keys), tmp_path)
    stepped = trained(planned({"epochs": 40}, optim={"is": "sgd", "lr": 0.1}, **keys), tmp_path)
    best, near = solved.points[-1], stepped.points[-1]
    assert best.loss == pytest.approx(0.01, rel=0.2)
    assert best.loss == pytest.approx(near.loss, rel=1e-2)
    assert best.lr is None
    assert solved.points[0].loss > best.loss


def test_least_squares_wants_a_linear_regression_and_one_pass(tmp_path):
    with pytest.raises(UserError, match="model=linear"):
        trained(planned({"steps": 5}, optim={"is": "lstsq"}), tmp_path)
    keys = {"model": {"is": "linear", "width": 4}, "data": {"is": "line", "size": 64}, "optim": {"is": "lstsq"}}
    with pytest.raises(UserError, match="reads each example once"):
        trained(planned({"epochs": 2}, **keys), tmp_path)


@pytest.mark.parametrize(
    "keys",
    default_cases([{"precision": "bf16"}, {"label_smoothing": 0.3}, {"clip": 1e-3}], {"precision": "bf16"}),
    ids=str,
)
def test_settings_change_the_weights_and_still_learn(keys, tmp_path):
    base, other = trained(planned({"steps": 100}), tmp_path), trained(planned({"steps": 100, **keys}), tmp_path)
    assert other.points[-1].loss != base.points[-1].loss
    assert other.points[-1].error < 0.25


@pytest.mark.slow
def test_compiled_and_eager_agree(tmp_path):
    eager, compiled = (trained(planned({"steps": 20, "engine": engine}), tmp_path) for engine in ("eager", "compile"))
    assert compiled.points[-1].loss == pytest.approx(eager.points[-1].loss, rel=1e-3)


@pytest.mark.slow
def test_every_shape_is_compiled_once_however_many_there_are(tmp_path, monkeypatch):
    compiled = []

    def backend(graph, examples):
        compiled.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend=backend))
    widths = range(4, 44, 4)
    for width in (*widths, *widths):
        model = {"is": "mlp", "width": width, "depth": 1}
        trained(planned({"steps": 2, "engine": "compile"}, model=model), tmp_path / str(len(compiled)))
    assert len(compiled) == len(widths)


def test_too_little_memory_says_what_to_change(tmp_path):
    run = planned({"steps": 5}, model={"is": "mlp", "width": 10**7, "depth": 2})  # 400 TB a matrix
    with pytest.raises(
        OutOfMemory,
        match=r"try train\.micro_batch=16 \(the same run but for rounding\), train\.precision=bf16 "
        r"or a smaller model\.width",
    ):
        trained(run, tmp_path)
    assert not folder_of(run, tmp_path).record.exists()


@pytest.mark.parametrize("keys", [{"dropout": 0.1}, {"norm": "batch"}], ids=str)
def test_smaller_parts_of_a_batch_are_not_advised_where_they_are_refused(keys, tmp_path):
    run = planned({"steps": 5}, model={"is": "mlp", "width": 10**7, "depth": 2, **keys})
    with pytest.raises(OutOfMemory, match=r"try train\.precision=bf16 or a smaller model\.width"):
        trained(run, tmp_path)


@pytest.mark.parametrize("words", TOO_LITTLE_MEMORY)
def test_every_word_for_too_little_memory_is_known(words):
    with pytest.raises(OutOfMemory), explain_memory_errors(planned({"steps": 5}).config, CPU):
        raise RuntimeError(words)


def test_another_error_of_a_gpu_is_not_taken_for_too_little_memory():
    with pytest.raises(RuntimeError, match="illegal"), explain_memory_errors(planned({"steps": 5}).config, CPU):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cpu:1", "cuda:99"])
def test_an_unknown_device_is_refused(device, tmp_path):
    run = planned({"steps": 5})
    with pytest.raises(UserError, match=r"wanted"):
        train_run(run, folder_of(run, tmp_path), device=device)


@pytest.mark.slow
def test_progress_is_reported_about_once_a_second(tmp_path, monkeypatch):
    """By a clock that goes on a hundredth of a second with each look: at every step, and at the duties it brings."""
    clock, heard = Clock(pace=0.01), []
    for module in ("loop", "callbacks"):
        monkeypatch.setattr(f"scaling.train.{module}.monotonic", clock)
    run = planned({"steps": 600})
    watched = trained(run, tmp_path / "watched", watch=lambda progress: heard.append((clock.now, progress)))
    times = [now for now, _ in heard]
    assert len(heard) == 5
    assert all(1.0 <= gap <= 1.0 + 1.5 * TICK_SECONDS for gap in np.diff([0.0, *times]))
    for _, progress in heard:
        assert progress.step * 32 == progress.D
        assert 0 < progress.loss < 2
        assert progress.examples_per_second == pytest.approx(32 / 0.01, rel=0.15)
    assert essence(watched) == essence(trained(run, tmp_path / "alone"))


@pytest.mark.parametrize("optim", default_cases(["adamw", "lion", "sgd"], "adamw"))
def test_a_frozen_layer_stays_as_it_was_drawn_and_is_counted(optim, tmp_path):
    run = planned(
        {"steps": 60, "keep": "milestones", "milestones": 6, "clip": 1.0},
        model={"is": "custom", "module": "tests.train.nets.HalfFrozen"},
        optim={"is": optim, "lr": 0.01, "weight_decay": 0.5},
    )
    record = trained(run, tmp_path)
    first, *_, last = (read_kept_weights(folder_of(run, tmp_path), step).model for step in run.quantities.milestones)
    changed = {name for name, value in first.items() if not torch.equal(value, last[name])}
    assert changed == {name for name in first if not name.startswith("first.")}
    assert record.counts["N_frozen"] == 6 * 8 + 8
    assert record.counts["N_total"] == sum(value.numel() for value in first.values())
    assert "N_frozen" not in trained(planned({"steps": 5}), tmp_path).counts


def test_a_module_whose_train_returns_nothing_is_trained_as_another(tmp_path):
    runs = [
        planned({"steps": 6}, model={"is": "custom", "module": f"tests.train.nets.{net}"})
        for net in ("Net", "ReturningNothing")
    ]
    first, other = (trained(run, tmp_path / str(number)).points for number, run in enumerate(runs))
    assert first == other


def test_a_single_test_example_has_a_loss_and_no_standard_error(tmp_path):
    x, y = np.eye(3, dtype=np.float32)[np.arange(90) % 3], np.arange(90) % 3
    held_out = {f"{name}_{split}": part[:1] for split in ("val", "test") for name, part in (("x", x), ("y", y))}
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, **held_out)
    keys = {"file": "mine.npz", "root": str(tmp_path), "classes": 3, "features": 3, "examples": 90}
    run = planned({"steps": 100, "milestones": 2}, data={"is": "npz", **keys})
    record = trained(run, tmp_path)
    assert record.status == "finished"
    raw = read_record(folder_of(run, tmp_path)).to_dict()
    for point in raw["points"]:
        assert 0 < point["loss"] < log(3)
        assert (point["loss_se"], point["error"], point["error_se"]) == (None, 0.0, None)
    assert (raw["data"]["n_test"], raw["data"]["chance_se"]) == (1, None)


@pytest.mark.parametrize("how", ["added", "replaced", "unfrozen"])
def test_parameters_that_came_during_training_are_told(how, tmp_path):
    model = {"is": "custom", "module": "tests.train.nets.Late", "kwargs": {"how": how}}
    run = planned({"steps": 60}, model=model, schedule="constant")
    with pytest.raises(UserError, match=r"Late, which has made, replaced or unfrozen parameters .*\(first\."):
        train_run(run, folder_of(run, tmp_path), device="cpu")
    assert not folder_of(run, tmp_path).record.is_file()
