"""Tuning keys for each size and length: real runs, chosen on the validation loss."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from scaling.commands.tuning.run_groups import group_runs
from scaling.commands.tuning.tunable import check_keys
from scaling.commands.tuning.tune import command_again, tune
from scaling.compose.session import session
from scaling.compose.write_rules import write_rules
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from scaling.tune import Effort, Range, open_searches

LR = [Range("optim.lr", 1e-4, 1.0)]
DECAY = [*LR, Range("optim.weight_decay", 1e-3, 1.0)]


def groups_of(*overrides, by=(), tuned=("optim.lr",)):
    with session() as loader:
        return group_runs(expand(loader, list(overrides)).runs, by, tuned)


def a_round(searches, *, tries=4, at_once=4, widened=True):
    found = (search.next(Effort(tries, at_once, widened)) for search in searches.values())
    return [proposal for proposals in found for proposal in proposals]


def test_every_size_and_length_is_a_group_of_its_seeds():
    groups = groups_of("model.width=8,16", "train.steps=10,20", "seed=0,1", "optim.lr=0.1,0.2")
    assert [dict(group) for group in groups] == [
        {"model.width": width, "train.steps": steps} for width in (8, 16) for steps in (10, 20)
    ]
    assert {len(runs) for runs in groups.values()} == {4}
    by_width = groups_of("model.width=8,16", "train.steps=10,20", by=["model.width"])
    assert [dict(group) for group in by_width] == [{"model.width": 8}, {"model.width": 16}]
    assert list(groups_of("train.steps=10")) == [()]


def test_each_change_of_an_ablation_is_a_group_also_where_it_changes_the_model(tmp_path):
    expanded, cropped = (
        {"model": ["bottleneck"], "model.expansion": [2]},
        {"augment": ["standard"], "augment.scale": [[0.5, 1]]},
    )
    blocks = [{"seed": [0]}, expanded, cropped]
    sweep = {
        "data": {"size": 1000},
        "train": {"steps": 10},
        "sweep": {"grid": [{"product": block} for block in blocks]},
    }
    (tmp_path / "changes.yaml").write_text(yaml.safe_dump(sweep))
    groups = groups_of(f"sweep={tmp_path / 'changes.yaml'}", "data=fashion_mnist", "name=changes")
    found = [[dict(run.overrides) for run in runs] for runs in groups.values()]
    assert sorted(map(str, found)) == sorted(str([{key: value[0] for key, value in block.items()}]) for block in blocks)


def test_each_size_is_tried_at_values_of_its_own_the_same_every_time(tmp_path):
    groups = groups_of("model.width=8,16", "train.steps=1")

    def values(folder, *, seed=0, tries=4):
        searches = open_searches(SweepFolder(tmp_path, folder), LR, groups, seed=seed)
        proposals = a_round(searches, tries=tries)
        for proposal in proposals:
            searches[proposal.group].study.tell(proposal.trial, proposal.values["optim.lr"])
        return [proposal.values["optim.lr"] for proposal in proposals]

    first = values("once")
    assert len(set(first)) == 8
    assert values("again") == first
    assert values("once", tries=4, seed=0) != first  # goes on beyond the range, for the smallest was the best
    assert set(values("other", seed=1)).isdisjoint(first)


def test_what_an_interrupted_command_has_proposed_is_tried_first(tmp_path):
    groups = groups_of("train.steps=1")
    folder = SweepFolder(tmp_path, "tune")
    left = a_round(open_searches(folder, LR, groups, seed=0))
    again = a_round(open_searches(folder, LR, groups, seed=0))
    assert [(one.trial, one.values) for one in again] == [(one.trial, one.values) for one in left]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_range_whose_end_is_the_best_is_widened_and_not_for_ever(tmp_path, direction):
    groups = groups_of("train.steps=1")
    searches = open_searches(SweepFolder(tmp_path, "tune"), [Range("optim.lr", 0.01, 0.04)], groups, seed=0)
    search, tried = searches[()], []
    while proposals := a_round(searches):
        for one in proposals:
            tried.append(one.values["optim.lr"])
            search.study.tell(one.trial, -direction * one.values["optim.lr"])
    outside = [value for value in tried if not 0.01 <= value <= 0.04]
    assert 3 <= len(outside) <= 5
    assert max(tried) / 0.04 <= 16
    assert min(tried) * 16 >= 0.0099
    assert search.values_left(4) == 0  # what lies outside counts as no try


def test_a_range_is_not_widened_beyond_what_the_config_allows(tmp_path):
    groups, ranges = groups_of("train.steps=1", "optim=sgd"), [Range("optim.momentum", 0.5, 0.95)]
    [search] = (searches := open_searches(SweepFolder(tmp_path, "x"), ranges, groups, seed=0)).values()
    tried = []
    while proposals := a_round(searches, tries=2):
        tried += proposals
        for proposal in proposals:
            search.study.tell(proposal.trial, -proposal.values["optim.momentum"])
    assert max(proposal.values["optim.momentum"] for proposal in tried) < 1
    assert all(len(proposal.runs) == 1 for proposal in tried)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("seed", "a key with a best value"),
        ("train.steps", "size or the length"),
        ("model.width", "size or the length"),
        ("train.batch", "give the length in train.examples"),
    ],
)
def test_a_key_that_is_no_matter_of_tuning_is_refused(key, said):
    [runs] = groups_of("train.steps=4").values()
    with pytest.raises(UserError, match=said):
        check_keys(runs, [Range(key, 1, 8)])
    [runs] = groups_of("train.examples=1000").values()
    check_keys(runs, [Range("train.batch", 1, 8), *LR])


def test_an_optimum_inside_is_not_widened(tmp_path):
    groups = groups_of("train.steps=1")
    searches = open_searches(SweepFolder(tmp_path, "tune"), LR, groups, seed=0)
    for one in a_round(searches, tries=6, at_once=6):
        searches[()].study.tell(one.trial, abs(one.values["optim.lr"] - 0.01))
    assert a_round(searches, tries=6) == []


def test_several_keys_are_tried_together_and_whole_numbers_stay_whole(tmp_path):
    groups = groups_of("train.steps=1", tuned=["optim.lr", "optim.weight_decay"])
    searches = open_searches(SweepFolder(tmp_path, "two"), DECAY, groups, seed=0)
    proposals = a_round(searches)
    assert {tuple(one.values) for one in proposals} == {("optim.lr", "optim.weight_decay")}
    assert proposals[0].runs[0].config.optim.weight_decay == proposals[0].values["optim.weight_decay"]
    batch = [Range("train.batch", 8, 64)]
    searches = open_searches(SweepFolder(tmp_path, "batch"), batch, groups, seed=0)
    assert {type(one.values["train.batch"]) for one in a_round(searches)} == {int}


def test_values_are_tried_once_kept_and_gone_on_with(scaling):
    run = ["model.width=8,16", "train.examples=6400", "train.device=cpu", "launcher.workers=1"]
    tune = ["tune", *run, "--range", "1e-5", "1e-2", "--no-widen", "--json", "-"]
    first = json.loads(scaling(*tune, "--tries", "1"))
    second = json.loads(scaling(*tune, "--tries", "2"))
    assert json.loads(scaling(*tune, "--tries", "2"))["best"] == second["best"]  # nothing new
    assert [entry["group"] for entry in first["best"]] == [{"model.width": 8}, {"model.width": 16}]
    assert [entry["tried"] for entry in second["best"]] == [2, 2]
    assert "wanted" in second["reason"]  # two values have no minimum
    records = [json.loads(path.read_text()) for path in scaling.folder.glob("results/runs/*/record.json")]
    assert len(records) == 4
    for entry in second["best"]:
        width = entry["group"]["model.width"]
        tried = [record for record in records if record["config"]["model"]["width"] == width]
        assert entry["val_loss"] == min(record["points"][-1]["val_loss"] for record in tried)


def test_the_command_that_continues_has_the_options():
    typed = ["model.width=8,16", "--range", "1e-5", "1e-2", "--by", "model.width", "--tries", "6", "--no-widen"]
    with tune.make_context("tune", typed) as context:
        again = shlex.split(command_again(context.params["arguments"]))
    assert again[:2] == ["scaling", "tune"]
    assert tune.make_context("tune", again[2:]).params == context.params


def test_bad_input_is_one_sentence(scaling):
    assert "two positive numbers" in scaling("tune", "train.steps=1", "--range", "1", "0.1", code=2)
    assert "optim.rl" in scaling("tune", "train.steps=1", "--range", "1", "2", "--key", "optim.rl", code=2)
    assert "found the key x.y" in scaling("tune", "train.steps=1", "--range", "1", "2", "--by", "x.y", code=2)
    assert "a range for each key" in scaling(
        "tune", "train.steps=1", "--range", "1", "2", "--key", "a", "--key", "b", code=2
    )
    assert "in which model.width has the one value 1" in scaling(
        "tune", "train.steps=1", "--range", "1e-3", "1e-1", "--key", "model.width", code=2
    )
    for said in ("optim.lr=3", "optim.lr=3,4", "optim={lr: 3}", "++optim.lr=3"):
        found = scaling("tune", "train.steps=1", said, "--range", "1e-3", "1e-2", code=2)
        assert "found optim.lr on the command line beside --range" in found
    by_itself = ["--range", "1e-3", "1e-2", "--by", "optim.lr"]
    assert "found --by optim.lr, which is tuned" in scaling("tune", "train.steps=1", *by_itself, code=2)
    twice = ["--range", "1", "2", "--key", "optim.lr"] * 2
    assert "wanted each key once" in scaling("tune", "train.steps=1", *twice, code=2)


def test_stages_are_tuned_by_their_parent_but_not_with_it(scaling, tmp_path):
    run = ["train.steps=1", "train.batch=8", "train.device=cpu"]
    scaling("run", "model.width=8", "train.keep=last", *run)
    [parent] = [path.name for path in scaling.folder.glob("results/runs/*")]
    probe = ["stage=probe", f"parent.run_id={parent}", "data.size=50", *run]
    found = json.loads(scaling("tune", *probe, "--range", "1e-3", "1e-1", "--no-widen", "--tries", "1", "--json", "-"))
    assert found["best"][0]["tried"] == 1
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/both.yaml").write_text(
        "sweep: {grid: [{product: {model.width: [8]}}], stages: [{base: {stage: ridge, data.size: 50}}]}"
    )
    said = scaling("tune", "sweep=both", *run, "--range", "1", "2", code=2)
    assert "found stages in the sweep; wanted runs of one kind" in said


RULE = {"optim.lr": "0.02 * (N / 1000) ** -0.2"}


@pytest.mark.parametrize(
    "given",
    [
        "  set: {optim.lr: 3e-3 * (width / 64) ** -0.5}   # a guess\n  where: steps >= 40\n",
        "  set:\n    # by hand\n    optim.lr: 0.1\n    train.batch: 32\n\n  where: steps >= 40\n",
        "  where: steps >= 40\n",
    ],
)
def test_a_rule_is_written_into_a_sweep_that_otherwise_stays(tmp_path, given):
    path = tmp_path / "mine.yaml"
    head = "# mine: a question\nmodel: {depth: 2} # two\n\nsweep:\n  grid:\n    - product: {model.width: [8, 16]}\n"
    path.write_text(head + given + "\n# the end\ntrain: {steps: 50}\n")
    before = yaml.safe_load(path.read_text())
    write_rules(path, RULE, source="tuned in results/mine-tune")
    after = yaml.safe_load(path.read_text())
    assert after["sweep"].pop("set") == {**before["sweep"].pop("set", {}), **RULE}
    assert after == before
    assert path.read_text().startswith(head)
    assert "# the end" in path.read_text()
    assert "# tuned in results/mine-tune" in path.read_text()


def test_a_file_that_is_no_sweep_is_left_alone(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("a: 1\n")
    with pytest.raises(UserError, match="without sweep"):
        write_rules(path, RULE, source="")
    with pytest.raises(UserError, match="no rule"):
        write_rules(path, {}, source="")
    with pytest.raises(UserError, match="cannot be read"):
        write_rules(Path(tmp_path / "none.yaml"), RULE, source="")
    assert path.read_text() == "a: 1\n"
