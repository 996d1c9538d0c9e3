"""A step that is captured and replayed gives the bits of the step launched kernel by kernel."""

from __future__ import annotations

import pytest
import torch

from scaling.global_streams import own_streams
from scaling.train.feed.feed import LONG_ORDER
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.output.saver import snapshot
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned
from tests.train.step.test_step import CASES, MLP, cases, outcome

STEPS = 300
NETS = "tests.gpu.nets"


def run_of(case, graph, family="mlp"):
    keys = dict(CASES[case])
    train = {"steps": STEPS, "graph": graph, **keys.pop("train", {})}
    model = {**keys.pop("model", MLP), "is": family}
    return planned(train, model=model, **{"data": {"is": "blobs", "size": 100}, **keys})


def trainer_of(run, device) -> Trainer:
    sets = load_run_data(run.config, run.quantities, device)
    return Trainer(run, sets.batches(run.quantities.batch), device)


def trained(run, device, *, stopped_at=None):
    with own_streams(1):
        trainer = trainer_of(run, device)
        if stopped_at is not None:
            trainer.advance(stopped_at, lambda: True)
            state = snapshot(trainer.state())
            trainer = trainer_of(run, device)
            trainer.load(state)
        trainer.advance(STEPS, lambda: True)
        return trainer.launch_name, outcome(trainer)


@cases
@pytest.mark.parametrize("family", ["mlp", "bottleneck"])
def test_replayed_steps_are_the_steps(case, family, gpu):
    auto, off = (run_of(case, graph, family) for graph in ("auto", "off"))
    launched, replayed = trained(auto, gpu)
    assert launched == "graph"
    launched, eager = trained(off, gpu)
    assert launched == "eager"
    assert replayed == eager


@pytest.mark.parametrize("case", ["adamw", "lion", "sgd with momentum", "dropout", "augmentation"])
def test_a_resumed_run_replays_on_to_the_same_bits(case, gpu):
    straight = trained(run_of(case, "off"), gpu)[1]
    assert trained(run_of(case, "auto"), gpu, stopped_at=111)[1] == straight


def test_a_long_order_drawn_in_a_thread_is_the_same_run(gpu):
    """The thread draws the next epoch while the step is captured."""
    keys = {"data": {"is": "blobs", "size": LONG_ORDER}, "model": MLP}
    train = {"steps": STEPS, "batch": 1024}  # more than two epochs
    runs = {graph: planned({**train, "graph": graph}, **keys) for graph in ("auto", "off")}
    launched, replayed = trained(runs["auto"], gpu)
    assert launched == "graph"
    assert replayed == trained(runs["off"], gpu)[1]


def test_a_run_on_fresh_examples_is_the_same_while_threads_pin_them(gpu):
    """They pin the next chunks while the step is captured, and a second stream copies these."""
    runs = {graph: fresh(graph) for graph in ("auto", "off")}
    launched, replayed = trained(runs["auto"], gpu)
    assert launched == "graph"
    assert replayed == trained(runs["off"], gpu)[1]


def test_fresh_examples_are_those_of_a_cpu_however_much_is_queued(gpu):
    run, busy, found = fresh("off"), torch.ones(2048, 2048, device=gpu), []
    on_gpu, on_cpu = (load_run_data(run.config, run.quantities, where).feed for where in (gpu, torch.device("cpu")))
    spans = [(start, start + 1024) for start in range(0, STEPS * 1024, 1024)]
    for span in spans:
        busy = busy @ busy / 2048
        found.append(on_gpu.examples(*span))
    for span, (x, y) in zip(spans, found, strict=True):
        wanted = on_cpu.examples(*span)
        assert torch.equal(x.cpu(), wanted[0])
        assert torch.equal(y.cpu(), wanted[1])


def fresh(graph):
    """A run on 19 chunks."""
    return planned({"steps": STEPS, "batch": 1024, "graph": graph}, data={"is": "teacher"}, model=MLP)


@pytest.mark.parametrize("net", ["Waiting", "Counting", "Drawing", "Moving"])
def test_what_cannot_be_captured_is_launched_as_before_and_it_is_said(net, gpu, tmp_path, caplog):
    keys = {"model": {"is": "custom", "module": f"{NETS}.{net}"}, "data": {"is": "blobs", "size": 100}}
    auto, off = (planned({"steps": 60, "graph": graph}, **keys) for graph in ("auto", "off"))
    tried = train_run(auto, folder_of(auto, tmp_path / "a"), device="cuda")
    assert tried.how["launch"].startswith("eager (no graph: ")
    assert "kernel by kernel" in caplog.text
    launched = train_run(off, folder_of(off, tmp_path / "b"), device="cuda")
    assert {**essence(tried), "config": {}} == {**essence(launched), "config": {}}  # which say train.graph
    after = planned({"steps": 60}, model={**MLP, "dropout": 0.1})  # and the next run can be captured
    assert train_run(after, folder_of(after, tmp_path / "c"), device="cuda").how["launch"] == "graph"


def test_a_capture_that_fails_leaves_the_run_as_it_is(gpu, tmp_path):
    keys = {"model": {"is": "custom", "module": f"{NETS}.Timing"}, "data": {"is": "blobs", "size": 100}}
    auto, off = (planned({"steps": 60, "graph": graph}, **keys) for graph in ("auto", "off"))
    tried = train_run(auto, folder_of(auto, tmp_path / "a"), device="cuda")
    assert tried.how["launch"].startswith("eager (no graph: ")
    assert torch.cuda.current_stream(gpu) == torch.cuda.default_stream(gpu)
    launched = train_run(off, folder_of(off, tmp_path / "b"), device="cuda")
    assert {**essence(tried), "config": {}} == {**essence(launched), "config": {}}
