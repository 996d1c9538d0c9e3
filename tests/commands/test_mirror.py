"""`mirror=`: a sweep in another tool while it runs; tests/analysis/export reads back what each tool was given."""

from __future__ import annotations

import pytest


def test_a_mirror_is_a_tool_that_is_installed(scaling, monkeypatch):
    one = ("model.width=8", "train.steps=2")
    assert "found mirror='paper'; wanted 'wandb', 'tensorboard' or 'mlflow'" in scaling(
        "plan", *one, "mirror=paper", code=2
    )
    assert "mirrored to mlflow" in scaling("plan", *one, "mirror=mlflow")
    monkeypatch.setattr("scaling.commands.mirror.find_spec", lambda name: None)
    said = scaling("run", *one, "mirror=wandb", code=2)
    assert "found no wandb here; wanted it for mirror=wandb; pip install 'scaling[wandb]'" in said
    assert not (scaling.folder / "results").exists()


@pytest.mark.slow
def test_a_sweep_is_mirrored_while_it_runs(scaling):
    """By a process of its own; what it cannot do is said, and the sweep goes on."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="wants tensorboard (extra tensorboard)"
    )
    said = scaling.outside("run", "model.width=8,16", "train.steps=200", "name=m", "mirror=tensorboard")
    assert "mirror=tensorboard: 2 runs in results/m/export/tensorboard; next: tensorboard --logdir" in said
    assert "2/2 runs settled: 2 now" in said
    [events, _] = (scaling.folder / "results/m/export/tensorboard/m").glob("*/events*")
    found = reader.EventAccumulator(str(events)).Reload()
    assert [event.step for event in found.Scalars("curve/val_loss")] == [64, 128, 200]
    assert [event.step for event in found.Scalars("loss")] == [200]
