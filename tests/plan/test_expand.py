"""Overrides and sweep files to a plan, through Hydra."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pkgutil import resolve_name

import pytest
import yaml

from scaling.compose.session import session
from scaling.config import plain
from scaling.errors import UserError
from scaling.plan.cell import Names
from scaling.plan.expand import expand
from scaling.plan.files import read_arguments, write_plan
from scaling.plan.identity import run_id
from scaling.plan.planned import PlannedRun, as_overrides
from scaling.stages.probe import Probe
from tests.default_cases import default_cases

SWEEP = """\
# What a sweep file looks like.
defaults:
  - override /model: bottleneck
  - override /schedule: constant
model: {depth: 3}
sweep:
  grid:
    - product: {model.width: [8, 16], train.budget: [2.0e+8, 4.0e+8], seed: [0, 1]}
    - zip: {model.width: [32, 64], train.budget: [1.0e+9, 2.0e+9]}
  set: {optim.lr: 3e-3 * (width / 64) ** -0.5}
  where: steps >= 10
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps" / "paper").mkdir(parents=True)
    (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP)
    (tmp_path / "sweeps" / "paper" / "deep.yaml").write_text(SWEEP)
    return tmp_path


def planned(*arguments):
    with session() as loader:
        return expand(loader, arguments)


def test_a_sweep_file_and_a_comma_list_expand_to_the_same_runs(here):
    (here / "sweeps" / "two.yaml").write_text("sweep: {grid: [{product: {model.width: [8, 16], seed: [0, 1]}}]}")
    from_file = planned("sweep=two", "train.steps=10")
    from_line = planned("model.width=8,16", "seed=range(2)", "train.steps=10")
    assert [run.run_id for run in from_file.runs] == [run.run_id for run in from_line.runs]
    assert (from_file.name, from_line.name, planned("train.steps=10").name) == ("two", "adhoc", "single")


def test_a_single_run_is_called_by_what_was_typed_of_it():
    typed = (
        "model.width=8",
        "optim=lion",
        "train.steps=10",
        "train.device=cpu",
        "results=elsewhere",
        "launcher.workers=1",
    )
    plan = planned(*typed)
    assert [run.row()["overrides"] for run in plan.runs] == ["model.width=8 optim=lion train.steps=10"]
    assert plan.runs[0].run_id == planned("optim=lion", "train.steps=10", "model.width=8").runs[0].run_id


def test_lists_and_dictionaries_are_shown_as_one_word_that_can_be_typed(here):
    typed = ("model.width=8", "train.steps=10", "train.milestones=[0.2, 1]")
    [run] = planned(*typed).runs
    assert run.row()["overrides"].split() == ["model.width=8", "train.steps=10", "train.milestones=[0.2,1]"]
    assert planned(*run.row()["overrides"].split()).runs[0].run_id == run.run_id
    assert as_overrides({"a": {"b": True, "c": [1e-3, None]}}) == ["a={b:True,c:[0.001,null]}"]
    assert as_overrides({"a": 15943877551.0, "b": 1e8, "c": "1.0"}) == ["a=15943877551", "b=1e+08", "c=1.0"]


def test_every_count_and_quantity_is_a_column_and_a_name_in_rules():
    [run] = planned("model.width=8", "train.steps=10").runs
    row, names = run.row(), Names(plain(run.config) | {"parent": {}})
    columns = {**run.quantities.counts.columns(), **run.quantities.columns()}
    assert {"N", "N_total", "N_body", "N_nonhead", "D", "D_unique", "epochs", "steps", "C", "C_counted"} == set(columns)
    assert {name: row[name] for name in columns} == columns
    assert {name: names.lookup(name) for name in columns} == columns


def test_a_batch_may_follow_a_rule_that_the_plan_keeps(here):
    rule = "32 * 2 ** (budget > 2e6)"
    grid = "[{product: {train.budget: [1e6, 4e6]}}]"
    (here / "sweeps" / "batches.yaml").write_text(f"sweep: {{grid: {grid}, set: {{train.batch: {rule}}}}}")
    plan = planned("sweep=batches", "model.width=8")
    assert [run.quantities.batch for run in plan.runs] == [32, 64]
    assert {run.row()["batch_rule"] for run in plan.runs} == {rule}
    assert [PlannedRun.from_dict(run.to_dict()) for run in plan.runs] == list(plan.runs)
    assert "batch_rule" not in planned("model.width=8", "train.steps=2").runs[0].row()


def test_steps_of_a_rule_that_are_whole_but_for_rounding_are_taken(here):
    (here / "sweeps" / "mine.yaml").write_text(
        "sweep: {grid: [{product: {model.width: [3, 6]}}], set: {train.steps: 3.3 * width * 100}}"
    )
    assert [run.quantities.steps for run in planned("sweep=mine", "train.batch=32").runs] == [990, 1980]


def test_stored_runs_with_parts_of_steps_are_read(here):
    (run,) = planned("train.steps=9", "train.milestones={unit: steps, at: [4.0]}").runs
    stored = run.to_dict()
    stored["config"]["train"] |= {"steps": 9.5, "milestones": {"unit": "steps", "at": [3.6]}}
    read = PlannedRun.from_dict(stored)
    assert (read.run_id, read.quantities) == (run.run_id, run.quantities)


def test_rules_may_read_what_rules_above_them_set_and_their_own_key(here):
    rules = "{model.width: 8, optim.lr: 1 / width, train.batch: batch / 2, optim.weight_decay: lr / 10}"
    (here / "sweeps" / "rules.yaml").write_text(f"sweep: {{grid: [{{product: {{seed: [1]}}}}], set: {rules}}}")
    (run,) = planned("sweep=rules", "train.examples=1e4", "train.batch=64").runs
    assert (run.config.model.width, run.config.optim.lr, run.config.optim.weight_decay) == (8, 1 / 8, 1 / 80)


def test_blocks_are_united_rules_computed_and_drops_explained(here):
    plan = planned("sweep=mine")
    widths = [run.config.model.width for run in plan.runs]
    assert widths == [8] * 4 + [16] * 4 + [32, 64]
    assert {run.config.model.family for run in plan.runs} == {"bottleneck"}
    assert plan.runs[0].config.optim.lr == pytest.approx(3e-3 * 8**0.5)
    assert plan.runs[0].lr_rule == "3e-3 * (width / 64) ** -0.5"
    tight = planned("sweep=mine", "sweep.where='steps >= 100'")
    assert len(tight.runs) + len(tight.dropped) == 10
    assert "steps >= 100 (steps = " in tight.dropped[0].reason


def test_an_override_replaces_that_axis_in_every_block(here):
    assert [run.config.model.width for run in planned("sweep=mine", "model.width=24").runs] == [24] * 6
    both = planned("sweep=mine", "model.width=12,24", "seed=5")
    assert [(run.config.model.width, run.config.seed) for run in both.runs[:4]] == [(12, 5), (12, 5), (24, 5), (24, 5)]
    assert {run.config.optim.lr for run in planned("sweep=mine", "optim.lr=0.5").runs} == {0.5}


def test_groups_are_axes_too(here):
    plan = planned("model=mlp,bottleneck", "model.width=8,16", "train.steps=10")
    assert [(run.config.model.family, run.config.model.width) for run in plan.runs] == [
        ("mlp", 8),
        ("mlp", 16),
        ("bottleneck", 8),
        ("bottleneck", 16),
    ]


def test_duplicates_collapse(here):
    plan = planned("model.width=8,16", "train.examples=1000,1001", "train.batch=100")
    assert (len(plan.runs), plan.duplicates, plan.alike) == (2, 2, ("train.examples",))


def test_cells_that_cannot_be_are_dropped_by_name_and_the_rest_stays(here):
    plan = planned("data.size=64,256,1024", "train.epochs=10")
    assert [run.quantities.D_unique for run in plan.runs] == [256, 1024]
    assert "subset of 64 examples" in plan.dropped[0].reason


def test_nested_names(here):
    assert planned("sweep=paper/deep").folder.path.as_posix() == "results/paper/deep"
    assert planned("sweep=mine", "name=other", "results=out").folder.path.as_posix() == "out/other"


@pytest.mark.parametrize(
    "given",
    default_cases(
        ["mine.yaml", "sweeps/mine", "sweeps/mine.yaml", "./sweeps/mine.yaml", "'mine'", "{here}/sweeps/mine.yaml"],
        "sweeps/mine.yaml",
        "{here}/sweeps/mine.yaml",
    ),
)
def test_a_file_s_path_is_its_sweep_s_name(here, given):
    plan = planned(f"sweep={given.format(here=here)}")
    assert (plan.name, plan.sweep, len(plan.runs)) == ("mine", "mine", 10)


@pytest.mark.parametrize(
    "given", ["{link}/sweeps/mine.yaml", "../{link.name}/sweeps/mine", "sweeps/../sweeps/mine.yaml"]
)
def test_a_path_through_links_or_folders_above_is_its_sweep_s_name(here, given):
    link = here.parent / f"link to {here.name}"
    link.symlink_to(here)
    assert planned(f"sweep={given.format(link=link)}").name == "mine"


def test_a_sweep_in_a_linked_folder_has_the_name_of_its_link(here):
    (here / "sweeps" / "shared").symlink_to(here / "sweeps" / "paper")
    assert planned("sweep=shared/deep").name == planned("sweep=sweeps/shared/deep.yaml").name == "shared/deep"


def test_a_file_elsewhere_is_told_where_sweeps_are(here):
    (here / "deep.yaml").write_text(SWEEP)
    with pytest.raises(UserError, match=r"found deep.yaml, which is not in ./sweeps; wanted a file there"):
        planned("sweep=deep.yaml")
    with pytest.raises(UserError, match=r"found sweep=/.*deep, which is not in ./sweeps; .* give name=NAME"):
        planned(f"sweep={here}/deep.yaml")
    assert planned(f"sweep={here}/deep.yaml", "name=deep").name == "deep"


@pytest.mark.parametrize("name", default_cases(["1e3", "007", "true", "two words", "2024-11-26"], "1e3"))
def test_names_stay_as_they_are_typed(here, name):
    assert planned("train.steps=5", f"name={name}").name == name
    assert planned("train.steps=5", f"results={name}").results.as_posix() == name
    (here / "sweeps" / f"{name}.yaml").write_text(SWEEP)
    assert planned(f"sweep={name}").name == name
    (here / "conf" / "model").mkdir(parents=True)
    (here / "conf" / "model" / f"{name}.yaml").write_text("_target_: scaling.models.mlp.MLP\nwidth: 8\ndepth: 7\n")
    assert planned("train.steps=5", f"model={name}").runs[0].config.model.depth == 7
    (here / "sweeps" / "axis.yaml").write_text(f'sweep: {{grid: [{{product: {{model: ["{name}"]}}}}]}}')
    assert planned("sweep=axis", "train.steps=5").runs[0].config.model.depth == 7


def test_words_outside_hydra_s_grammar_need_no_quotes(here):
    (here / "sweeps" / "größe.yaml").write_text(SWEEP)
    plan = planned("sweep=größe", "sweep.where=width>8", "name=maß")
    assert plan.name == "maß"
    assert {run.config.model.width for run in plan.runs} == {16, 32, 64}
    assert [run.config.seed for run in planned("seed=1,2", "train.steps=5", "name=a;b").runs] == [1, 2]
    command = 'echo "$SCALING_NAME", it\'s done > x'
    assert planned("train.steps=5", f"on_end={command}").on_end == command
    assert planned("train.steps=5", "on_end='echo a; ls'").on_end == "echo a; ls"


def test_a_run_that_two_blocks_ask_for_has_the_milestones_of_both(here):
    [run] = planned("train.steps=8", "train.milestones={unit: steps, at: [3]},{unit: steps, at: [3, 5]}").runs
    assert run.quantities.milestones == (3, 5, 8)


def test_a_run_that_two_blocks_ask_for_keeps_the_weights_that_either_wants(here):
    for kept in ("none,last", "last,none"):
        [run] = planned("train.steps=8", f"train.keep={kept}").runs
        assert run.config.train.keep == "last"
    for kept in ("false,true", "true,false"):
        assert planned("train.steps=8", f"train.filters={kept}").runs[0].config.train.filters


OWN = """\
from dataclasses import dataclass
from typing import ClassVar
from scaling.optim.adamw import AdamW


class Derived(AdamW):
    pass


@dataclass(frozen=True)
class Copied(AdamW):
    name: ClassVar[str] = "adamw"


@dataclass(frozen=True)
class Named(AdamW):
    name: ClassVar[str] = "adamw_of_mine"


@dataclass(frozen=True)
class Twin(AdamW):
    name: ClassVar[str] = "adamw_of_mine"


@dataclass(frozen=True)
class WithoutRate:
    name: ClassVar[str] = "none"
    rate: float

    def build(self, module):
        return None
"""


@pytest.fixture
def own_optimisers(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    (here / "own_optimisers.py").write_text(OWN)
    (here / "conf" / "optim").mkdir(parents=True)
    for name in ("Derived", "Copied", "Named", "Twin", "WithoutRate"):
        (here / "conf" / "optim" / f"{name}.yaml").write_text(f"_target_: own_optimisers.{name}\nlr: 0.001\n")


def test_classes_of_a_users_with_the_name_of_another_are_other_runs_and_recipes(own_optimisers):
    runs = planned("optim=adamw,Derived,Copied,Named", "optim.lr=0.001", "train.steps=5").runs
    assert len({run.row()["optim"] for run in runs}) == len(runs) == 4
    assert runs[1].row()["optim"] == "adamw (own_optimisers.Derived)"
    assert runs[3].row()["optim"] == "adamw_of_mine"


@dataclass(frozen=True)
class OwnProbe(Probe):
    """A stage of the user's without a name of its own."""


def test_a_stage_of_a_users_with_the_name_of_another_is_another_run(here):
    [run] = planned("model.width=8", "train.steps=5").runs
    stages = [replace(run.config, stage=stage) for stage in (Probe(), OwnProbe())]
    assert len({run_id(config, run.quantities) for config in stages}) == 2


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("Named,Twin", "found Named and Twin with one name, and so one run id"),
        ("WithoutRate", "found WithoutRate without lr"),
    ],
)
def test_classes_of_a_users_that_cannot_be_told_apart_or_lack_what_is_needed_are_refused(own_optimisers, members, said):
    with pytest.raises(UserError, match=said):
        planned(f"optim={members}", "train.steps=5")


def test_a_member_whose_file_ends_with_yml_is_named(here):
    (here / "conf" / "optim").mkdir(parents=True)
    (here / "conf" / "optim" / "mine.yml").touch()
    with pytest.raises(UserError, match=r"found .*mine\.yml; wanted a config's file to end with \.yaml; rename it"):
        planned("optim=mine", "train.steps=5")


def test_a_home_is_expanded(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    assert planned("train.steps=5", "results='~/mine'").results == here / "home" / "mine"
    (here / "sweeps" / "home.yaml").write_text("results: ~/mine\n" + SWEEP)
    assert planned("sweep=home").folder.path == here / "home" / "mine" / "home"


def test_the_command_of_a_sweep_whose_file_ends_without_a_newline_is_known(here):
    (here / "sweeps" / "mine.yaml").write_text("train: {steps: 1}\nsweep: {grid: [{product: {seed: [0]}}]}")
    plan = planned("sweep=mine", f"results={here}/results", "train.batch=8")
    write_plan(plan, [])
    assert read_arguments(plan.folder) == list(plan.arguments)
    assert yaml.safe_load(plan.folder.sweep.read_text()) == {
        "train": {"steps": 1},
        "sweep": {"grid": [{"product": {"seed": [0]}}]},
    }


def test_the_plan_is_pure(here):
    rows = [[run.row() for run in planned("sweep=mine").runs] for _ in range(2)]
    assert json.dumps(rows[0]) == json.dumps(rows[1])


def test_one_run_id_is_pinned(here):
    """A run_id that moves loses every user's finished runs: if this fails, raise nothing, find out why."""
    keys = ("model=mlp", "model.width=64", "model.depth=2", "train.steps=100", "optim.lr=0.001")
    [run], [older] = planned(*keys).runs, planned(*keys, "recipe_version=1").runs
    assert run.run_id == "53f6b81dce9c"
    assert older.run_id == run.id_by_recipe(1) == "bcd225fcea71"  # that of version 0.1
    [again] = planned(*keys, "recipe_version=1", "train.precision=fp32").runs
    assert again.run_id == older.run_id, "by recipe 1 auto was fp32"


@pytest.mark.parametrize("argument", ["on_end=echo a\necho b", "on_end='echo a\u2028'", "name=a\n"])
def test_an_argument_of_several_lines_is_refused(here, argument):
    """The command is kept as one line of sweep.yaml, from which `resume`, `suggest` and `extend` read it."""
    with pytest.raises(UserError, match="an argument of several lines; wanted one line"):
        planned("train.steps=5", argument)


def test_a_recipe_that_is_not_known_is_refused(here):
    for found in ("3", "0", "1.5"):
        with pytest.raises(UserError, match=r"found recipe_version=.*; wanted (1 to 2|a whole number)"):
            planned("train.steps=5", f"recipe_version={found}")


@pytest.mark.slow
def test_the_runs_of_stages_are_of_the_recipe_that_is_given(here):
    (here / "sweeps" / "staged.yaml").write_text(STAGED)
    new, old = planned("sweep=staged"), planned("sweep=staged", "recipe_version=1")
    assert {run.config.recipe_version for run in old.runs} == {1}
    assert [run.run_id for run in old.runs] == [run.id_by_recipe(1) for run in new.runs]


STAGED = """
defaults: [override /schedule: constant]
model: {width: 8, depth: 1}
data: {size: 256}
train: {steps: 5}
sweep:
  grid: [{product: {seed: [0, 1]}}]
  stages: [{name: probe, of: train, base: {stage: ridge}}]
"""


def test_two_thousand_runs_are_composed_once_and_each_model_is_counted_once(here, monkeypatch):
    composed, counted, settled = (
        calls_of(monkeypatch, name)
        for name in (
            "hydra._internal.config_loader_impl.ConfigLoaderImpl._compose_config_from_defaults_list",
            "scaling.plan.quantities.count",
            "scaling.plan.cell.plan_run",
        )
    )
    seeds = f"seed={','.join(map(str, range(5)))}"
    plan = planned("model.activation=gelu", "model.width=range(4,404,4)", "train.budget=1e9,2e9,4e9,8e9", seeds)
    assert len(plan.runs) == 2_000
    assert (len(composed), len(counted), len(settled)) == (1, 100, 2_000)


def calls_of(monkeypatch, name):
    """Return a list that grows with each call of a function."""
    real, calls = resolve_name(name), []

    def noted(*arguments, **keys):
        calls.append(name)
        return real(*arguments, **keys)

    monkeypatch.setattr(name, noted)
    return calls


WRONG = (
    (["sweep=min"], "did you mean sweep=mine"),
    (["model=mpl", "train.steps=1"], "no model=mpl"),
    (["+foo=3", "train.steps=1"], "unknown key foo"),
    (["~stage", "train.steps=1"], "found no stage in the config; wanted it; drop ~stage"),
    (["sweep=mine", "train.steps=5"], "train.steps=5 and train.budget"),
    (["model.width=abc", "train.steps=1"], "model.width='abc'"),
    (["train.steps=1", "hydra/launcher=joblib"], "launcher=local or launcher=slurm"),
    (["train.steps=1", "+hydra.sweeper.params={seed: 1}"], "found hydra.sweeper.params, of Hydra's own"),
    (["train.steps=1", "hydra/sweeper=basic"], "found hydra/sweeper, of Hydra's own"),
    (["train.steps=1", "train.batch=0"], "train.batch=0"),
    (["train.steps=1", "name=../x"], "name=../x"),
    (["train.steps=1", "results=null"], "results=None; wanted a folder"),
    (["sweep=short"], "short.yml; wanted a sweep's file to end with .yaml"),
    ([], "exactly one of train.examples"),
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    default_cases(
        [
            (["sweep=min"], "did you mean sweep=mine"),
            (["sweep=mine,two"], "several values for sweep"),
            (["model=mpl", "train.steps=1"], "no model=mpl"),
            (["model.wdith=3", "train.steps=1"], "unknown key model.wdith"),
            (["+model.wdith=3", "train.steps=1"], "unknown key model.wdith; did you mean model.width"),
            (["+foo=3", "train.steps=1"], "unknown key foo"),
            (["~stage", "train.steps=1"], "found no stage in the config; wanted it; drop ~stage"),
            (["~launcher", "train.steps=1"], "drop ~launcher"),
            (["sweep=mine", "train.steps=5"], "train.steps=5 and train.budget"),
            (["model.width=abc", "train.steps=1"], "model.width='abc'"),
            (["train.steps=1", "hydra/launcher=joblib"], "launcher=local or launcher=slurm"),
            (["train.steps=1", "hydra.run.dir=x"], "found hydra.run.dir, of Hydra's own"),
            (["train.steps=1", "+hydra.sweeper.params={seed: 1}"], "found hydra.sweeper.params, of Hydra's own"),
            (["train.steps=1", "hydra/sweeper=basic"], "found hydra/sweeper, of Hydra's own"),
            (["results=a,b", "train.steps=1"], "several values for results"),
            (["train.budget=1"], "at least one batch"),
            (["train.steps=12.5"], "found train.steps=12.5; wanted a whole number"),
            (
                ["train.steps=9", "train.milestones={unit: steps, at: [5.5]}"],
                "found a milestone at 5.5 steps; wanted a",
            ),
            (["train.steps=12.5", "model.width=4,8"], "found train.steps=12.5; wanted a whole number"),
            (["train.steps=1", "train.batch=0"], "train.batch=0"),
            (["train.steps=1", "train.label_smoothing=2"], "train.label_smoothing=2"),
            (["train.steps=1", "train.clip=-1"], "train.clip=-1"),
            (["train.steps=1", "optim.lr=inf"], "optim.lr=inf"),
            (["train.steps=1", "model.width=null"], "add model.width=VALUE"),
            (["train.steps=1", "name=../x"], "name=../x"),
            (["train.steps=1", "name=runs"], "name=runs"),
            (["train.steps=1", 'name="a\0b"'], r"found name='a\x00b'; wanted one line"),
            (["train.steps=1", "name=m\udcff"], r"found 'name=m\udcff', which is not UTF-8 text; wanted UTF-8"),
            (["sweep=[mine]"], "name of one sweep"),
            (["sweep=mine", "sweep=other"], "found sweep=mine and sweep=other; wanted one sweep in a command"),
            (["model.width = 32", "train.steps=1"], "wanted no blanks before =; write model.width=32"),
            (["seed=${now:%S}", "train.steps=1"], "found ${now:…} in seed, which makes other runs each time"),
            (["seed=1,${now:%S}", "name=${now:%S}", "train.steps=1"], "found ${now:…} in seed, which"),
            (["train.steps=1", "results=null"], "results=None; wanted a folder"),
            (["train.steps=1", "results=''"], "wanted a folder; change it"),
            (
                ["train.steps=1", "results=$HOME/x"],
                "found results=$HOME/x, whose $HOME the shell has left as it is; wanted its value; write double "
                "quotes, or ${oc.env:HOME} in its place",
            ),
            (["train.steps=1", "name=a/$USER"], "found name=a/$USER, whose $USER the shell has left as it is"),
            (
                ["sweep=mine", "sweep.stages.0.base.train.epochs=2"],
                "found sweep.stages[0], which is inside a list and not there: Hydra takes the dots of its keys for "
                "levels; wanted the list as a whole; write 'sweep.stages=[…]', or change the file",
            ),
            (["lr=0.1", "train.steps=1"], "found the unknown key lr; did you mean optim.lr?"),
            (
                ["data=npz", "data.file=my data (1).npz"],
                "found data.file=my data (1).npz, which Hydra's grammar does not read; wanted closed brackets, or a "
                "text with such characters in quotes of its own; write \"data.file='my data (1).npz'\"",
            ),
            (
                ["data=linear_teacher", "train.steps=1", "train.label_smoothing=0.1"],
                "train.label_smoothing=0.1 with data=linear_teacher, a regression; wanted 0",
            ),
            (
                ["data=cifar10", "train.steps=1", "data.root=a,b"],
                "found data.root=a and b, which have one run id",
            ),
            (["optim=lstsq", "train.steps=1"], "found optim=lstsq with model=mlp"),
            (["data.classes=1", "train.steps=1"], "found data.classes=1 with data=teacher; wanted two or more"),
            (
                ["data=npz_regression", "data.file=x", "data.examples=99", "data.features=2", "data.classes=9"],
                "data.classes=9 with data=npz_regression; wanted 1, because a regression has one output",
            ),
            (["model=mlp,bottleneck", "model.expansion=2", "train.steps=1"], "model=bottleneck has it; give members"),
            (["train.steps=8", "train.milestones={unit: steps, at: [3]},{unit: steps, at: [5]}"], "one list of all"),
            (["sweep=short"], "short.yml; wanted a sweep's file to end with .yaml"),
            (["model.width=8,", "train.steps=1"], "found model.width=8,, with a comma too many; wanted values such as"),
            (["model.width=8,,16", "train.steps=1"], "with a comma too many"),
            (["model..width=8", "train.steps=1"], "whose model..width is no key; wanted one such as model.width"),
            (["model[width]=8", "train.steps=1"], "whose model[width] is no key"),
            (["model=conf/model/mlp.yaml", "train.steps=1"], "did you mean model=mlp?"),
            (["train.budget=1e300"], "found train.budget=1e+300, which is 1.7e+295 examples; wanted at most 9.2e+18"),
            (["train.steps=1e308"], "examples; wanted at most 9.2e+18; lower it"),
            (["train.steps=1", "model.width=10000000000000"], "found a model of more than 9.2e+18 parameters"),
            ([], "exactly one of train.examples"),
        ],
        *WRONG,
    ),
)
def test_bad_input_is_one_sentence(here, arguments, said):
    (here / "sweeps" / "short.yml").touch()
    with pytest.raises(UserError, match="found") as caught:
        planned(*arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "arguments", "said"),
    [
        (
            "more/model/octal.yaml",
            "defaults: [mlp, _self_]\nwidth: 010\n",
            ["hydra.searchpath=[more]", "model=octal", "train.steps=1"],
            "line 2, 010, which YAML reads as 8",
        ),
        (
            "conf/optim/lost.yaml",
            "defaults: [nosuch]\n",
            ["optim=lost", "train.steps=1"],
            "found a config that Hydra refuses: In 'optim/lost': Could not load 'optim/nosuch'.",
        ),
        ("conf/optim/bare.yaml", "lr: 0.1\n", ["optim=bare", "train.steps=1"], "found no _target_ of optim; choose"),
        (
            "sweeps/circle.yaml",
            "defaults: [{/sweep: quickstart}]\n" + SWEEP.partition("override /schedule: constant\n")[2],
            ["sweep=circle"],
            "defaults that lead back to their own file",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence(here, file, text, arguments, said):
    (here / file).parent.mkdir(parents=True, exist_ok=True)
    (here / file).write_text(text)
    with pytest.raises(UserError, match="found") as caught:
        planned(*arguments)
    assert said in str(caught.value)
    assert "Config search path" not in str(caught.value)


def test_a_config_that_is_not_utf_8_is_named(here):
    (here / "conf" / "optim").mkdir(parents=True)
    (here / "conf" / "optim" / "old.yaml").write_bytes("# Größe\nlr: 0.1\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"found .*conf/optim/old\.yaml, which is not UTF-8 text"):
        planned("optim=old", "train.steps=1")


WRONG_FILES = (
    ("model: {depth: 3}", "without a sweep.grid"),
    ("sweep: {grid: [{product: {model.wide: [1]}}]}", "unknown key model.wide"),
    ("sweep: {grid: [{product: {results: [a]}}]}", "results as an axis"),
    ("sweep: {grid: [{product: {seed: [1]}}], limit: {flops: -1}}", "sweep.limit.flops=-1"),
    ("sweep: [", "sweeps/bad.yaml"),
)


@pytest.mark.parametrize(
    ("text", "said"),
    default_cases(
        [
            ("model: {depth: 3}", "without a sweep.grid"),
            ("sweep: {grid: [{product: {model.wide: [1]}}]}", "unknown key model.wide"),
            ("sweep: {grid: [{product: {results: [a]}}]}", "results as an axis"),
            (
                "sweep: {grid: [{product: {seed: [1]}}], where: stepz > 3}",
                "found stepz in an expression of the sweep, no quantity",
            ),
            (
                "sweep: {grid: [{product: {model: [mlp, bottleneck]}}], where: expansion > 3}",
                "model=mlp has no model.expansion",
            ),
            ("sweep: {grid: [{product: {seed: [1]}}], set: {optim.rl: '1'}}", "unknown key optim.rl"),
            ("sweep: {grid: [{product: {seed: [1]}}], limit: {flops: -1}}", "sweep.limit.flops=-1"),
            ("sweep: {grid: [{product: {seed: [1]}}], wehre: x}", "wehre"),
            ("name: 1e3\nsweep: {grid: [{product: {seed: [1]}}]}", "found the name 1000.0"),
            ("sweep: [", "sweeps/bad.yaml"),
            ("sweep: 5", "sweep: 5"),
            (
                "model: {_target_: mine.Net}\nsweep: {grid: []}",
                "bad.yaml; wanted a member of the group model, with its keys",
            ),
            (
                "data: mnist1d\nsweep: {grid: []}",
                "bad.yaml; wanted members of groups in its defaults list; write defaults:",
            ),
            ("defaults: [data: mnist1d]\nsweep: {grid: []}", "write defaults: [override /data: mnist1d]"),
            ("defaults: [/data: mnist1d]\nsweep: {grid: []}", "write defaults: [override /data: mnist1d]"),
            (
                "sweep: {grid: [{product: {model: [mlp], model.expansion: [2]}}]}",
                "unknown key model.expansion in the sweep; model=bottleneck has it",
            ),
            ("sweep: {grdi: []}", "unknown key sweep.grdi"),
            ("Sweep: {grid: [{product: {seed: [1]}}]}", "unknown key Sweep; did you mean sweep?"),
            (
                "sweep: {grid: [{product: {seed: [1, 2]}}], where: width}",
                "found the condition 'width', whose value is 64; wanted a comparison such as width > 0; change it",
            ),
            (
                "sweep: {grid: [{product: {seed: [1, 2]}}], where: false}",
                "that can be run: where: False (for every cell)",
            ),
            ("sweep: {grid: [{product: {seed: [1]}}], set: lr}", "sweep.set='lr'"),
            ("sweep: {grid: [{product: {seed: [1]}}], limit: 5}", "sweep.limit=5"),
            (
                "sweep: {grid: [{product: {seed: [008, 009, 010]}}]}",
                "line 1, 010, which YAML reads as 8; wanted a plain",
            ),
            ("sweep: {grid: [{product: {seed: [1]}}], limit: {gpu_hours: 1:30}}", "1:30, which YAML reads as 90"),
            (
                "sweep: {grid: [{product: {seed: [1]}}], set: {optim.lr: 1 / width, model.width: 8}}",
                "found set: optim.lr = 1 / width, which is 0.01562 before the rules below it and 0.125 after them",
            ),
            ("sweep: {grid: [{product: {train.steps: [5, 7.5]}}]}", "found train.steps=7.5; wanted a whole number"),
            ("sweep: {grid: [{product: {seed: [1]}}], set: {train.steps: 9 / 2}}", "found train.steps=4.5; wanted"),
            (
                "sweep: {grid: [{product: {seed: [1]}}], set: {optim.lr: 1 / N, model.depth: 3}}",
                "wanted each rule below those whose keys it reads; move optim.lr down",
            ),
        ],
        *WRONG_FILES,
    ),
)
def test_bad_sweep_files_are_one_sentence(here, text, said):
    (here / "sweeps" / "bad.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        planned("sweep=bad", *([] if "train.steps" in text else ["train.steps=5"]))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
