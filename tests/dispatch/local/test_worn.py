"""What the code of one run does to its process is no other run's trouble: a worker that is worn is replaced."""

from __future__ import annotations

import json

import pytest

NET = """\
import builtins, multiprocessing, os, resource, threading, time
from torch import nn
from torch.nn import functional

ACTS = {
    "functions": lambda: (setattr(functional, "relu", functional.gelu), setattr(builtins, "sorted", None)),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1])),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    "abort": os.abort,
    "outputs": lambda: (os.close(1), os.close(2)),
    "child": lambda: multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start(),
    "fork": os.fork,
    "thread": threading.Thread(target=time.sleep, args=(600,)).start,
    "nothing": lambda: None,
}


class Net(nn.Module):
    def __init__(self, outputs, *, act):
        super().__init__()
        self.act, self.head = act, nn.Linear(64, outputs)

    def forward(self, x):
        if self.training and x.device.type != "meta":
            ACTS[self.act]()
        return functional.relu(self.head(x.flatten(1)))
"""
RUN = ["data=digits", "model=custom", "model.module=worn_net.Net", "train.device=cpu", "launcher.workers=1"]


@pytest.mark.slow
def test_runs_after_one_that_changes_its_process_are_what_they_are_alone(scaling, monkeypatch):
    monkeypatch.syspath_prepend(scaling.folder)
    (scaling.folder / "worn_net.py").write_text(NET)
    scaling("run", *RUN, "train.steps=1", "model.kwargs.act=nothing", "seed=1,2", "results=alone")
    alone = losses(scaling.folder / "alone")
    acts = "functions,limit,outputs,child,fork,thread,nothing"
    said = scaling("run", *RUN, "train.steps=1", f"model.kwargs.act={acts}", "seed=1,2")
    assert "14/14 runs settled" in said
    found = losses(scaling.folder / "results")
    assert len(alone) == 2
    assert {run_id: found[run_id] for run_id in alone} == alone


@pytest.mark.slow
def test_runs_that_end_their_worker_end_no_others(scaling, monkeypatch):
    monkeypatch.syspath_prepend(scaling.folder)
    (scaling.folder / "worn_net.py").write_text(NET)
    act = "model.kwargs.act=limits,abort,nothing"
    said = scaling("run", *RUN, "train.steps=1", act, "seed=1,2", "train.checkpoint_seconds=0", code=1)
    assert said.count("died under it") == 4
    found = [json.loads(path.read_text()) for path in (scaling.folder / "results/runs").glob("*/record.json")]
    assert sorted(record["config"]["seed"] for record in found if record["config"]["model"]["kwargs"]["act"] == "nothing") == [1, 2]


def losses(results):
    found = [json.loads(path.read_text()) for path in results.glob("runs/*/record.json")]
    return {record["run_id"]: record["points"][-1]["loss"] for record in found}
