"""What the code of one run does to its process harms no other run: a worker whose process was changed is replaced."""

from __future__ import annotations

import json

import pytest

NET = """\
import builtins, multiprocessing, os, resource, signal, threading
from torch import nn
from torch.nn import functional

ACTS = {
    "functions": lambda: (
        setattr(functional, "relu", functional.gelu), setattr(builtins, "sorted", lambda values, **how: list(values))
    ),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1])),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    "abort": os.abort,
    "outputs": lambda: (os.close(1), os.close(2)),
    "child": lambda: multiprocessing.get_context("spawn").Process(target=signal.pause).start(),
    "fork": os.fork,
    "thread": lambda: threading.Thread(target=threading.Event().wait).start(),
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
RUN = [
    "data=digits",
    "model=custom",
    "model.module=worn_net.Net",
    "train.device=cpu",
    "launcher.workers=1",
    "train.steps=1",
]


@pytest.mark.slow
def test_runs_after_one_that_changes_its_process_are_what_they_are_alone(scaling, monkeypatch):
    monkeypatch.syspath_prepend(scaling.folder)
    (scaling.folder / "worn_net.py").write_text(NET)
    scaling("run", *RUN, "model.kwargs.act=nothing", "seed=0,1", "results=alone")
    alone = losses(scaling.folder / "alone")
    acts = "functions,outputs,child,fork,thread,nothing"
    assert "12/12 runs settled" in scaling("run", *RUN, f"model.kwargs.act={acts}", "seed=0,1")
    found = losses(scaling.folder / "results")
    assert len(alone) == 2
    assert {run_id: found[run_id] for run_id in alone} == alone


@pytest.mark.slow
def test_runs_that_end_their_worker_end_no_others(scaling, monkeypatch):
    monkeypatch.syspath_prepend(scaling.folder)
    (scaling.folder / "worn_net.py").write_text(NET)
    scaling("run", *RUN, "model.kwargs.act=limit,limits,abort,nothing", "seed=1", code=1)
    tried = [path.read_text() for path in (scaling.folder / "results/runs").glob("*/attempts.jsonl")]
    assert sorted(text.count("died under it") for text in tried) == [0, 0, 3, 3]
    assert sum("File too large" in text for text in tried) == 1
    assert len(losses(scaling.folder / "results")) == 1


def losses(results):
    found = [json.loads(path.read_text()) for path in results.glob("runs/*/record.json")]
    return {record["run_id"]: record["points"][-1]["loss"] for record in found}
