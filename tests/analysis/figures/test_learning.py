"""The learning curves of a results folder: from the points of its runs, or from their logs."""

from __future__ import annotations

import json

import pandas as pd

from analysis.figures.learning import learning_curves, learning_numbers
from analysis.report.charts.curves import curves_of
from analysis.table.read import load_table
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results

CURVE = [(64, 2.0, 2.1), (128, 1.5, 1.7), (200, 1.2, 1.6)]


def test_points_come_before_the_log_and_the_log_before_nothing(tmp_path):
    many, few = worlds.curves(World(), (8,), 3, seeds=1), worlds.grid(World(), (16, 32), (65536,), seeds=1)
    folder = write_results(pd.concat([many, few]), tmp_path)
    [logged, cut] = few["run_id"]
    lines = [json.dumps({"step": step, "train_loss": a, "val_loss": b, "seconds": 1}) for step, a, b in CURVE]
    ended = json.dumps({"step": 200, "loss": 1.5, "train_loss": 1.1, "val_loss": 1.4, "final": True})
    runs = folder.parent / "runs"
    for run_id in (logged, *many["run_id"]):
        (runs / run_id / "log.jsonl").write_text("\n".join([*lines, ended]) + "\n")
    (runs / cut / "log.jsonl").write_text("\n".join([*lines[:2], lines[2][:20]]))
    found = learning_curves(load_table(folder), folder)
    own = found[found["run_id"] == logged]
    assert list(own[["step", "train_loss", "val_loss"]].itertuples(index=False, name=None)) == CURVE
    assert set(found["run_id"]) == {logged, *many["run_id"]}
    assert found[found["run_id"] == many["run_id"].iloc[0]]["loss"].tolist() == many["loss"].tolist()
    assert curves_of(found)[logged] == {
        "step": [64, 128, 200],
        "train_loss": [2.0, 1.5, 1.2],
        "val_loss": [2.1, 1.7, 1.6],
    }
    panels = learning_numbers(load_table(folder), found)
    assert panels[0].y_label == "cross-entropy (nats)"
    assert [panel.title.split(" (")[0] for panel in panels] == ["width 8", "width 16"]
    assert panels[1].curves[0][2].tolist() == [2.1, 1.7, 1.6]
    table = load_table(folder)
    stages = table.assign(task=["test" if run_id == logged else "probe:digits" for run_id in table["run_id"]])
    assert [len(panel.curves) for panel in learning_numbers(stages, found)] == [1]


def test_a_table_without_steps_has_no_curves(tmp_path):
    table = pd.DataFrame({"run_id": ["a", "b"], "N": [1, 2], "loss": [3.0, 2.0]})
    assert learning_curves(table, None).empty
    assert learning_numbers(table, learning_curves(table, tmp_path)) == []
