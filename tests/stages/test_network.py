"""Fine-tuning, test-time augmentation and label lists: the whole network."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scaling.augment.standard import Standard
from scaling.data.base import Published
from scaling.errors import UserError
from scaling.folders import RunFolder
from scaling.stages.label_lists import read_label_lists
from scaling.stages.networks import Resized, check_head, parent_network
from scaling.stages.predict import allowed_classes, label_list_score
from scaling.train.attempt import PlacedRun
from scaling.train.output.checkpoint import write_checkpoint
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from scaling.train.streams import stream
from tests.stages import family
from tests.stages.family import child_run, done, folder_of, parent_run
from tests.train import nets

CPU = torch.device("cpu")


def moved(run, results, before) -> dict[str, float]:
    """The largest change of the embedding and of the head in a run of one step."""
    after = read_kept_weights(folder_of(run, results), run.quantities.steps).model
    return {
        "embed": (after["embed.weight"] - before["embed.weight"]).abs().max().item(),
        "head": after["head.weight"].abs().max().item(),
    }


def test_body_and_head_take_their_own_rates(trained):
    """One step of LION moves each weight by its rate: the rate of the head, and body_share of it."""
    results, parent = trained
    before = read_kept_weights(folder_of(parent, results), 40).model
    for share in (0.0, 0.1, 1.0):
        # The head starts at zero, where the body has no gradient: the second step is the body's first.
        optim = {"is": "lion", "lr": 1e-3, "body_share": share}
        run = child_run(parent, "finetune", train={"epochs": None, "steps": 2, "keep": "last"}, optim=optim)
        done(run, results)
        found = moved(run, results, before)
        assert found["embed"] == pytest.approx(share * 1e-3, rel=1e-3, abs=1e-9)
        assert found["head"] == pytest.approx(2e-3, rel=1e-3)


def test_a_body_without_a_share_stays_as_it_is_and_is_not_computed_backwards(tmp_path, monkeypatch):
    """Its batch norms and its dropout too: what is trained is what a probe trains."""
    monkeypatch.setattr(family, "BODY", {**family.BODY, "norm": "batch", "dropout": 0.2})
    parent = parent_run()
    done(parent, tmp_path)
    before = read_kept_weights(folder_of(parent, tmp_path), 40).model
    train = {"epochs": 2, "keep": "last", "clip": 0.1}
    run = child_run(parent, "finetune", train=train, optim={"is": "sgd", "lr": 0.1, "body_share": 0.0})
    probe = child_run(parent, "probe", train=train)
    tuned, probed = done(run, tmp_path), done(probe, tmp_path)
    after = read_kept_weights(folder_of(run, tmp_path), run.quantities.steps).model
    for name, weights in before.items():
        assert torch.equal(weights, after[name]) == (not name.startswith("head.")), name
    assert tuned.points[-1].loss == pytest.approx(probed.points[-1].loss, rel=1e-4)
    counts, whole = run.quantities.counts, child_run(parent, "finetune").quantities.counts
    head = 16 * 3
    assert counts.C(1) == whole.C(1)
    assert counts.C_counted(1) == whole.forward_flops + 2 * head
    assert counts.N_frozen == whole.N_total - head - 3


def test_fine_tuning_starts_from_the_parents_body_and_learns(trained):
    results, parent = trained
    run = child_run(
        parent, "finetune", train={"clip": 1.0, "epochs": 4}, optim={"is": "sgd", "lr": 0.1, "body_share": 0.1}
    )
    network = parent_network(PlacedRun(run, folder_of(run, results), CPU), new_head=True)
    weights = read_kept_weights(folder_of(parent, results), 40).model
    assert torch.equal(network.embed.weight, weights["embed.weight"])
    assert not network.head.weight.any()
    record = done(run, results)
    assert record.points[-1].error < 0.2
    assert record.descent["point"]["step"] == 40


def test_images_of_another_size_are_resized_on_the_device(trained):
    results, parent = trained
    run = child_run(parent, "finetune", data="digits", train={"epochs": 1, "keep": "last"})
    assert run.quantities.counts.N == 6 * 16 + 8 * 16 * 16 + 16 * 10
    record = done(run, results)
    assert record.points[-1].loss < record.data["chance"]
    network = parent_network(PlacedRun(run, folder_of(run, results), CPU), new_head=True)
    x = torch.randn(4, 1, 8, 8)
    wanted = network(torch.nn.functional.interpolate(x, size=(2, 3), mode="bilinear"))
    torch.testing.assert_close(Resized(network, (1, 2, 3))(x), wanted)
    assert done(child_run(run, {"is": "tta", "crops": 2}, data="digits"), results).points[-1].error < 1


def test_crops_are_sampled_once_at_the_size_that_the_network_reads(trained, monkeypatch):
    """By recipe 1 they were sampled at the size of the data, and then again."""
    results, parent = trained
    resized = []

    def interpolate(x, **keys):
        resized.append(len(x))
        return torch.nn.functional.interpolate(x, **keys)

    monkeypatch.setattr("scaling.stages.networks.functional", SimpleNamespace(interpolate=interpolate))
    augment = {"is": "standard", "mixup": 0.0}
    for version, often in ((1, 23), (2, 0)):
        run = child_run(
            parent, "finetune", data="digits", train={"epochs": 1, "keep": "last"}, augment=augment, version=version
        )
        record = done(run, results)
        assert record.points[-1].loss < record.data["chance"]
        assert resized.count(run.quantities.batch) == often
        resized.clear()
        done(child_run(run, {"is": "tta", "crops": 3}, data="digits", version=version), results)
        assert len(resized) == (3 if version == 1 else 0)
        resized.clear()


@pytest.mark.parametrize("stage", ["finetune", "probe"])
def test_filters_are_those_of_the_network_at_the_size_that_it_reads(stage, trained):
    results, parent = trained
    run = child_run(parent, stage, data="digits", train={"epochs": 1, "keep": "last", "filters": True})
    done(run, results)
    with np.load(folder_of(run, results).path / "filters.npz") as kept:
        filters = kept["filters"]
    weights = read_kept_weights(folder_of(run, results), run.quantities.steps).model["embed.weight"]
    assert np.array_equal(filters, weights.numpy().reshape(16, 1, 2, 3).astype(np.float16))


def test_a_stage_without_crops_scores_as_its_parent_did(trained, tmp_path):
    results, parent = trained
    test = parent.config.data.load(1).test
    (tmp_path / "own.json").write_text(json.dumps([[int(label)] for label in test.y]))
    run = child_run(parent, {"is": "real", "labels": "own.json", "root": str(tmp_path)})
    record = done(run, results)
    last = json.loads(folder_of(parent, results).record.read_text())["points"][-1]
    assert record.points[-1].error == last["error"]
    assert record.points[-1].loss == pytest.approx(last["loss"], rel=1e-6)
    assert (run.quantities.D, run.quantities.C) == (0, 0)


@pytest.mark.parametrize("how", ["attribute", "array", "buffer"])
def test_a_stage_starts_from_what_its_parent_kept_outside_its_weights(how, tmp_path, monkeypatch):
    """Also from another seed, which would draw other random features, and with other outputs."""
    module = {"is": "custom", "module": "tests.train.nets.Projecting", "kwargs": {"how": how}}
    monkeypatch.setattr(family, "BODY", module)
    parent = parent_run()
    last = done(parent, tmp_path).points[-1]
    (tmp_path / "own.json").write_text(json.dumps([[int(label)] for label in parent.config.data.load(1).test.y]))
    run = child_run(parent, {"is": "real", "labels": "own.json", "root": str(tmp_path)}, seed=5)
    found = done(run, tmp_path).points[-1]
    assert (found.error, found.loss) == (last.error, pytest.approx(last.loss, rel=1e-6))
    same, other = (
        parent_network(PlacedRun(each, folder_of(each, tmp_path), CPU), new_head=True)
        for each in (run, child_run(parent, "ridge", data="digits", seed=6))
    )
    assert (same.outputs, other.outputs, same.calls, other.calls) == (3, 10, 40, 40)
    for name in ("features", "mean"):
        assert torch.equal(torch.as_tensor(getattr(same, name)), torch.as_tensor(getattr(other, name)))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_tta_is_the_mean_over_crops_by_hand(trained, average):
    results, parent = trained
    stage = {"is": "tta", "crops": 3, "average": average, "scale": [0.5, 1.0]}
    run = child_run(parent, stage, seed=4)
    record = done(run, results)
    network = parent_network(PlacedRun(run, folder_of(run, results), CPU), new_head=False).eval()
    test = run.config.data.load(1).test
    x = torch.tensor((test.x - 128.0) / 20.0, dtype=torch.float32)
    generator = stream(4, "crops")
    stage = run.config.stage
    augment = Standard(scale=stage.scale, ratio=stage.ratio, flip=stage.flip, mixup=0.0).build((1, 2, 3), 3)
    with torch.no_grad():
        outputs = torch.stack([network(augment(x, None, generator)[0]).double() for _ in range(3)])
    mean = outputs.mean(0).softmax(1) if average == "logits" else outputs.softmax(2).mean(0)
    y = torch.tensor(test.y)
    assert record.points[-1].error == pytest.approx((mean.argmax(1) != y).double().mean().item())
    assert record.points[-1].loss == pytest.approx(-mean[range(len(y)), y].log().mean().item(), rel=1e-9)


def test_label_lists_count_any_of_their_classes_and_leave_out_the_empty():
    logs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]]).double().log()
    allowed = torch.tensor([[0, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]]).bool()
    found = label_list_score(logs, allowed)
    assert found.error == pytest.approx(1 / 3)
    assert found.loss == pytest.approx(-(np.log(0.2) + np.log(0.9) + np.log(1.0)) / 3)
    assert label_list_score(logs, allowed_classes(torch.tensor([0, 1, 2, 0]), 3)).error == 0


def test_label_lists_are_read_from_json_and_npz(tmp_path):
    lists = [[1], [], [0, 2]]
    wanted = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=bool)
    (tmp_path / "a.json").write_text(json.dumps(lists))
    np.savez(tmp_path / "b.npz", labels=np.array([1, 0, 2]), lengths=np.array([1, 0, 2]))
    np.savez(tmp_path / "c.npz", labels=wanted.astype(np.uint8))
    for name in ("a.json", "b.npz", "c.npz"):
        assert (read_label_lists(tmp_path / name, classes=3, examples=3) == wanted).all()
    (tmp_path / "broken.json").write_text('[[1], "x"]')
    (tmp_path / "empty.json").write_text("[[], [], []]")
    for name, classes, said in (
        ("a.json", 2, "0 to 1"),
        ("broken.json", 3, "no lists of labels"),
        ("none.json", 3, "no file"),
        ("empty.json", 3, "found no label"),
    ):
        with pytest.raises(UserError, match=said):
            read_label_lists(tmp_path / name, classes=classes, examples=3)
    with pytest.raises(UserError, match="wanted 4"):
        read_label_lists(tmp_path / "a.json", classes=3, examples=4)


def test_lists_of_all_published_images_are_taken_where_the_test_images_stand(tmp_path):
    (tmp_path / "real.json").write_text(json.dumps([[0], [1], [], [2], [1, 2]]))
    published = Published(np.array([4, 0]), 5)
    found = read_label_lists(tmp_path / "real.json", classes=3, examples=2, published=published)
    assert found.tolist() == [[False, True, True], [True, False, False]]
    (tmp_path / "own.json").write_text("[[0], [1]]")
    found = read_label_lists(tmp_path / "own.json", classes=3, examples=2, published=published)
    assert found.tolist() == [[True, False, False], [False, True, False]]
    with pytest.raises(UserError, match=r"wanted 3, .* or 5, one for each image"):
        read_label_lists(tmp_path / "own.json", classes=3, examples=3, published=published)


def test_weights_that_do_not_fit_the_model_are_said_in_a_sentence(trained, tmp_path):
    """As where a module of one's own was changed after its run."""
    results, parent = trained
    run = child_run(parent, "finetune", seed=88)
    folder = RunFolder(tmp_path / "runs" / run.run_id)
    weights = read_kept_weights(folder_of(parent, results), 40).model
    cut = {**weights, "embed.weight": weights["embed.weight"][:, :3]}
    write_checkpoint(folder.other(parent.run_id).kept_weights(40), parent.run_id, {"model": cut})
    with pytest.raises(UserError, match=r"embed\.weight .* \(16, 3\) .* \(16, 6\)"):
        parent_network(PlacedRun(run, folder, CPU), new_head=True)


class Doubled(nets.Net):
    def forward(self, x):
        return 2 * super().forward(x)


class Biased(nets.Net):
    def forward(self, x):
        return super().forward(x) + self.head.bias


def test_features_are_of_a_network_whose_output_is_that_of_its_head():
    check_head(nets.Net((6,), 3), (6,))
    for network in (Doubled((6,), 3), Doubled((6,), 8), Biased((6,), 3)):
        name = type(network).__name__
        with pytest.raises(UserError, match=f"found {name}, whose output is more than that of its last layer head"):
            check_head(network, (6,))


def test_a_probe_of_a_head_in_double_precision_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "BODY", {"is": "custom", "module": "tests.train.nets.DoubleHead"})
    monkeypatch.setattr(family, "PIXELS", {"is": "blobs", "size": 600})
    parent = parent_run()
    done(parent, tmp_path)
    with pytest.raises(UserError, match=r"found DoubleHead, whose head has weights of torch\.float64; wanted"):
        done(child_run(parent, "probe", data=family.PIXELS), tmp_path)
    head_alone = {"is": "sgd", "lr": 0.1, "body_share": 0.0}
    tuned = child_run(parent, "finetune", data=family.PIXELS, optim=head_alone)
    assert done(tuned, tmp_path).status == "finished"


def test_a_network_with_lazy_parameters_is_a_parent_too(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "BODY", {"is": "custom", "module": "tests.train.nets.Lazy"})
    monkeypatch.setattr(family, "PIXELS", {"is": "blobs", "size": 600})
    parent = parent_run()
    done(parent, tmp_path)
    record = done(child_run(parent, "finetune", data=family.PIXELS), tmp_path)
    assert record.points[-1].loss < 0.5


def test_a_head_that_begins_with_a_norm_is_counted_by_its_matrix(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "BODY", {"is": "custom", "module": "tests.train.nets.NormedHead"})
    monkeypatch.setattr(family, "PIXELS", {"is": "blobs", "size": 600})
    parent = parent_run()
    done(parent, tmp_path)
    probe, ridge = (child_run(parent, stage, data=family.PIXELS) for stage in ("probe", "ridge"))
    assert probe.quantities.counts.N == ridge.quantities.counts.N == 8 * 3
    assert done(probe, tmp_path).points[-1].error < 0.1


def test_a_head_that_evaluation_does_not_use_cannot_be_trained_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "BODY", {"is": "custom", "module": "tests.train.nets.Slow"})
    monkeypatch.setattr(family, "PIXELS", {"is": "blobs", "size": 600})
    parent = parent_run()
    done(parent, tmp_path)
    alone, all_of_it = (
        child_run(parent, "finetune", data=family.PIXELS, optim={"is": "sgd", "lr": 0.1, "body_share": share})
        for share in (0.0, 0.5)
    )
    with pytest.raises(UserError, match=r"Slow, whose output in evaluation mode does not depend on its head net"):
        done(alone, tmp_path)
    assert done(all_of_it, tmp_path).points[-1].error < 0.2


def test_a_probe_trains_a_head_of_two_matrices_and_a_ridge_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setattr(family, "BODY", {"is": "custom", "module": "tests.train.nets.DeepHead"})
    monkeypatch.setattr(family, "PIXELS", {"is": "blobs", "size": 600})
    parent = parent_run()
    done(parent, tmp_path)
    probe = child_run(parent, "probe", data=family.PIXELS, train={"keep": "last"})
    ridge = child_run(parent, "ridge", data=family.PIXELS)
    done(probe, tmp_path)
    trained = read_kept_weights(folder_of(probe, tmp_path), probe.quantities.steps).model
    head = {name: value for name, value in trained.items() if name.startswith("head.")}
    counts = probe.quantities.counts
    assert counts.N_total == sum(value.numel() for value in head.values())
    assert counts.N == counts.forward_flops / 2 == 8 * 16 + 16 * 3
    assert counts.backward_flops == 2 * counts.forward_flops - 2 * 8 * 16  # features need no gradient
    assert ridge.quantities.counts.N == 8 * 3


def test_a_stopped_evaluation_leaves_no_record(trained):
    results, parent = trained
    run = child_run(parent, {"is": "tta", "crops": 2}, seed=77)
    assert train_run(run, folder_of(run, results), device="cpu", stop=lambda: True) is None
    assert not folder_of(run, results).record.exists()
