"""Tuning one key for each width: real runs, chosen on the validation loss."""

from __future__ import annotations

import json

from scaling.compose.session import session
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from scaling.tune import Best, Space, group_runs, open_studies, propose, rule

SPACE = Space("optim.lr", 1e-4, 1.0, "model.width")


def test_the_rule_is_the_power_law_through_the_best():
    found = [Best(width, 0.02 * (width / 32) ** -0.5, 1.0, 8) for width in (8, 32, 128)]
    assert rule(found, SPACE) == "optim.lr: 0.02 * (model.width / 32) ** -0.50"
    assert rule(found[:1], SPACE) is None
    assert rule([Best("relu", 0.1, 1.0, 3), Best("gelu", 0.2, 1.0, 3)], SPACE) is None


def test_each_size_is_tried_at_values_of_its_own_the_same_every_time(tmp_path):
    def values(folder, *, seed=0):
        with session() as loader:
            groups = group_runs(expand(loader, ["model.width=8,16", "train.steps=1"]).runs, SPACE.by)
        studies = open_studies(SweepFolder(tmp_path, folder), SPACE, groups, seed=seed)
        return [proposal.value for _ in range(4) for proposal in propose(studies, groups, SPACE)]

    first = values("once")
    assert len(set(first)) == 8
    assert values("again") == first
    assert set(values("once")).isdisjoint(first)  # goes on
    assert set(values("other", seed=1)).isdisjoint(first)


def test_values_are_tried_kept_and_gone_on_with(scaling):
    run = ["model.width=8,16", "train.examples=6400", "train.device=cpu", "launcher.workers=1"]
    tune = ["tune", *run, "--range", "1e-5", "1e-2", "--json", "-"]
    first = json.loads(scaling(*tune, "--tries", "2"))
    second = json.loads(scaling(*tune, "--tries", "1"))
    assert [entry["by"] for entry in first["best"]] == [8, 16]
    assert [entry["tried"] for entry in second["best"]] == [3, 3]
    records = [json.loads(path.read_text()) for path in scaling.folder.glob("results/runs/*/record.json")]
    for entry in second["best"]:
        tried = [record for record in records if record["config"]["model"]["width"] == entry["by"]]
        assert entry["val_loss"] == min(record["points"][-1]["val_loss"] for record in tried)
    assert json.loads(scaling("status", "results/adhoc-tune", "--json", "-"))["total"] == 6


def test_bad_input_is_one_sentence(scaling):
    assert "two positive numbers" in scaling("tune", "train.steps=1", "--range", "1", "0.1", code=2)
    assert "optim.rl" in scaling("tune", "train.steps=1", "--range", "1", "2", "--key", "optim.rl", code=2)
    assert "wanted a key of the config" in scaling("tune", "train.steps=1", "--range", "1", "2", "--by", "x.y", code=2)
