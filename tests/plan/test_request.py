"""What is said on the command line holds over the sweep file, in every form of Hydra's grammar, or is refused."""

from __future__ import annotations

import pytest

from scaling.errors import UserError
from tests.default_cases import default_cases
from tests.plan.planning import of, planned, sweep

MINE = """\
train: {steps: 20}
sweep:
  grid:
    - product: {model.width: [8, 16], seed: [0, 1]}
    - list: [{model.width: 32}, {model.width: 64, train.batch: 64}]
  set: {optim.lr: 1e-3 * width}
"""


@pytest.fixture
def mine(here):
    sweep(here, MINE)


@pytest.mark.parametrize(
    "said",
    default_cases(
        ["model.width=24", "++model.width=24", "model={width: 24}", "++model={width: 24}"],
        "model.width=24",
        "++model={width: 24}",
    ),
)
def test_a_value_replaces_that_axis_in_every_block(mine, said):
    assert of(planned("sweep=mine", said), "model.width") == [(24,)] * 3


@pytest.mark.parametrize("said", default_cases(["model.width=24,48", "++model.width=24,48"], "model.width=24,48"))
def test_values_replace_that_axis_in_every_block(mine, said):
    assert {width for (width,) in of(planned("sweep=mine", said), "model.width")} == {24, 48}


@pytest.mark.parametrize(
    "said",
    default_cases(
        ["optim.lr=0.5", "++optim.lr=0.5", "optim={lr: 0.5}", "++optim.lr=0.5,0.5"], "optim.lr=0.5", "optim={lr: 0.5}"
    ),
)
def test_a_value_holds_over_set(mine, said):
    assert set(of(planned("sweep=mine", said), "optim.lr")) == {(0.5,)}


def test_values_of_a_range_have_no_rounding_errors_of_its_steps(mine):
    rates = planned("sweep=mine", "model.width=4", "optim.lr=range(0.1,0.5,0.1)")
    assert {lr for (lr,) in of(rates, "optim.lr")} == {0.1, 0.2, 0.3, 0.4}


def test_a_sweep_without_a_name_is_refused(here):
    with pytest.raises(UserError, match="found sweep= without a name"):
        planned("sweep=")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ("range(8,16,0)", "has no end"),
        ("range(nan,3)", "has no end"),
        ("range(1,1e12)", "found a range of 1e+12 values for model.width"),
        ("range(16,8)", "found model.width=range(16,8), which has no values"),
        ("glob(*)", "has no values"),
        ("8;16", "write several values of a sweep as a list"),
    ],
)
def test_values_that_are_none_or_without_end_are_refused(here, values, named):
    with pytest.raises(UserError) as caught:
        planned("train.steps=3", f"model.width={values}")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ("list: [{seed: 1}, seed=2]", "found 'seed=2' in a list block"),
        ("product: {model.width: {values: [8, 16]}}", "write model.width: [1, 2]"),
        ("product: {+model.width: [8]}", "found the key '+model.width' in the sweep; wanted no signs or blanks"),
        ("product: {'model.width ': [8]}", "write model.width"),
    ],
)
def test_a_block_in_another_tool_s_grammar_is_refused_by_what_it_has(here, block, named):
    (here / "sweeps" / "odd.yaml").write_text(
        f"# @package _global_\ntrain: {{steps: 3}}\nsweep: {{grid: [{{{block}}}]}}\n"
    )
    with pytest.raises(UserError) as caught:
        planned("sweep=odd")
    assert named in str(caught.value)


def test_dictionaries_merge_in_their_order_as_hydra_merges_them(mine):
    [only] = of(
        planned("model={width: 8}", "model={depth: 1}", "model={width: 12}", "train={steps: 20}"),
        "model.width",
        "model.depth",
        "train.steps",
    )
    assert only == (12, 1, 20)
    plan = planned("sweep=mine", "model={depth: 1}", "model.width=24", "model={width: 12}")
    assert set(of(plan, "model.width", "model.depth")) == {(12, 1)}
    assert set(of(planned("sweep=mine", "model.width=24,48", "model={width: 12}"), "model.width")) == {(12,)}
    assert set(of(planned("sweep=mine", "model={width: 12}", "model.width=24,48"), "model.width")) == {(24,), (48,)}


@pytest.mark.parametrize("said", [["model=bottleneck", "model={width: 12}"], ["model={width: 12}", "model=bottleneck"]])
def test_a_member_and_a_dictionary_of_its_group_both_hold(mine, said):
    plan = planned("sweep=mine", *said)
    assert {(run.config.model.family, run.config.model.width) for run in plan.runs} == {("bottleneck", 12)}


def test_a_dictionary_holds_in_every_member_of_an_axis(here):
    sweep(here, "train: {steps: 5}\nsweep: {grid: [{product: {model: [mlp, bottleneck], seed: [0, 1]}}]}")
    plan = planned("sweep=mine", "model={width: 12}")
    assert {(run.config.model.family, run.config.model.width) for run in plan.runs} == {("mlp", 12), ("bottleneck", 12)}
    assert {run.config.model.family for run in planned("sweep=mine", "model=bottleneck").runs} == {"bottleneck"}


def test_a_whole_dictionary_takes_the_place_of_an_axis(here):
    sweep(
        here, "train: {steps: 50}\nsweep: {grid: [{product: {train.milestones: [{unit: steps, at: [5]}], seed: [1]}}]}"
    )
    [run] = planned("sweep=mine", "train.milestones={unit: steps, at: [10, 20]}").runs
    assert run.quantities.milestones == (10, 20, 50)


def test_a_sweep_is_named_in_every_form_and_its_own_keys_given_beside_it(mine):
    assert planned("sweep=mine", "sweep={where: 'width < 16'}").name == "mine"
    assert {width for (width,) in of(planned("sweep=mine", "sweep={where: 'width < 16'}"), "model.width")} == {8}
    assert set(of(planned("sweep=mine", "sweep.set={}", "~sweep.set"), "optim.lr")) == {(0.001,)}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (["~model.width"], "~model.width on the command line beside model.width"),
        (["~sweep.set.optim.lr"], "wanted optim.lr=VALUE in its place, or ~sweep.set to take out all"),
        (["+model=bottleneck"], "beside the one that the config has; wanted one; write model=bottleneck"),
        (["model.depth=${nope.x}"], "found model.depth that Hydra refuses: Interpolation key 'nope.x' not found"),
        (["~optim.lr"], "~optim.lr on the command line beside optim.lr"),
        pytest.param(["+model.width=24"], "model.width", marks=pytest.mark.slow),
        (["~model.width=8,16"], "~model.width=8,16"),
        (["model={width: 8},{width: 16}"], "write model.width"),
        (["++model=bottleneck"], "model=bottleneck"),
        (["model=5"], "no model=5"),
        (["model.kwargs=null", "model=custom", "model.kwargs.kernel=3,5"], "model.kwargs.kernel"),
    ],
)
def test_what_cannot_hold_is_refused_by_name(mine, said, named):
    with pytest.raises(UserError) as caught:
        planned("sweep=mine", *said)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said", "named"),
    [
        ("grid: [{product: {optim.lr: [0.1, 0.2]}}], set: {optim.lr: 1 / width}", [], "optim.lr as an axis"),
        ("grid: [{list: [{seed: 1}, {optim.lr: 0.1}]}], set: {optim.lr: 1 / width}", [], "optim.lr as an axis"),
        (
            "grid: [{product: {train.milestones: [{unit: steps, at: [5]}]}}]",
            ["++train.milestones.at=[6]"],
            "train.milestones.at on the command line beside train.milestones",
        ),
        ("grid: [{product: {model: [{width: 8}]}}]", [], "write model.width"),
        ("grid: [{product: {model: {width: [8, 16]}}}]", [], "write model.width"),
        ("grid: [{list: [{model: [mlp]}]}]", [], "as a member of the group model"),
        ("grid: [{product: {model: [null]}}]", [], "as a member of the group model"),
        (
            "grid: [{product: {seed: [1]}}], stages: [{base: {stage: finetune, data: digits, train.epochs: 1}, "
            "grid: [{product: {optim.lr: [0.1]}}], set: {optim.lr: 1 / width}}]",
            [],
            "optim.lr as an axis",
        ),
        (
            "grid: [{product: {seed: [1]}}], stages: [{base: {stage: finetune, data: {size: 9}, train.epochs: 1}}]",
            [],
            "write data.size",
        ),
    ],
)
def test_what_would_be_lost_or_is_no_member_is_refused_by_name(here, text, said, named):
    sweep(here, f"train: {{steps: 50}}\nsweep: {{{text}}}")
    with pytest.raises(UserError) as caught:
        planned("sweep=mine", *said)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        "sweep.set.optim.weight_decay=2*width",
        "+sweep.set.optim.weight_decay='2 * width'",
        "++sweep.set.optim.weight_decay=(width + width)",
        "sweep.set={optim.weight_decay: 2*width}",
        "sweep={set: {optim.weight_decay: 2*width}}",
    ],
)
def test_a_rule_is_added_in_every_form(mine, said):
    plan = planned("sweep=mine", "model.width=8", "seed=0", said)
    assert set(of(plan, "optim.weight_decay", "optim.lr")) == {(16, 0.008)}
    assert set(of(planned("sweep=mine", "model.width=8", "sweep.set.optim.lr=width / 16"), "optim.lr")) == {(0.5,)}


def test_an_axis_of_a_rule_s_key_on_the_command_line_takes_the_rule_s_place(mine):
    assert set(of(planned("sweep=mine", "optim.lr=0.1,0.2"), "optim.lr")) == {(0.1,), (0.2,)}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("parent=407182afda95", "found parent=407182afda95; wanted its keys run_id and step; write parent.run_id="),
        ("parent.run_id={a: 1}", "found parent.run_id={'a': 1}; wanted a string"),
        ("parent.run_id=012345678912", "found no run 012345678912"),
        ("parent.run_id=1234e5678912,abc", "found no run 1234e5678912"),
        ("++parent.run_id=100000000000", "found no run 100000000000"),
        ("parent=null", "found stage=ridge without a run to start from"),
    ],
)
def test_the_id_of_a_parent_is_read_as_text_even_if_it_looks_like_a_number(here, said, named):
    with pytest.raises(UserError) as caught:
        planned("stage=ridge", "data=digits", said)
    assert named in str(caught.value)


def test_a_parent_without_its_key_is_refused_for_a_run_from_scratch_too(here):
    with pytest.raises(UserError, match=r"wanted its keys run_id and step; write parent\.run_id=407182afda95"):
        planned("parent=407182afda95")
