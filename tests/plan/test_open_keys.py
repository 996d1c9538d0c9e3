"""Keys of a class that its YAML leaves out, and keys inside a dictionary, are given as others are."""

from __future__ import annotations

import pytest

from scaling.errors import UserError
from tests.default_cases import default_cases
from tests.plan.planning import planned, sweep

NET = """\
from torch import nn


def net(shape, outputs, *, width, kernel=3, slope=0.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.LeakyReLU(slope), nn.Linear(width, outputs))
"""
CLASS = "scaling.models.custom.Custom"
CUSTOM = ["model=custom", "model.module=open_net.net", "model.width=8", "train.steps=5"]


@pytest.fixture
def own(here, monkeypatch):
    (here / "open_net.py").write_text(NET)
    monkeypatch.syspath_prepend(here)
    for group, name, text in [
        ("launcher", "jumbo", "_target_: scaling.dispatch.launchers.Slurm\npartition: jumbo\n"),
        ("model", "short", "_target_: scaling.models.mlp.MLP\nwidth: 8\n"),
        (
            "model",
            "net",
            f"_target_: {CLASS}\nmodule: open_net.net\nwidth: 8\nkwargs: {{kernel: 5}}\n",
        ),
    ]:
        (here / "conf" / group).mkdir(parents=True, exist_ok=True)
        (here / "conf" / group / f"{name}.yaml").write_text(text)
    return here


def arguments_of(plan):
    return [run.config.model.kwargs for run in plan.runs]


@pytest.mark.slow
def test_a_dictionary_takes_keys_of_the_user_s_own(own):
    assert arguments_of(planned(*CUSTOM, "model.kwargs={kernel: 5}")) == [{"kernel": 5}]
    assert arguments_of(planned(*CUSTOM, "model={kwargs: {kernel: 5}}")) == [{"kernel": 5}]
    assert arguments_of(planned(*CUSTOM, "model.kwargs={kernel: 5}", "model.kwargs.slope=0.1")) == [
        {"kernel": 5, "slope": 0.1}
    ]
    assert arguments_of(planned(*CUSTOM, "model.kwargs.kernel=3,5")) == [{"kernel": 3}, {"kernel": 5}]
    assert arguments_of(planned("model=net", "train.steps=5", "model.kwargs.slope=0.1")) == [
        {"kernel": 5, "slope": 0.1}
    ]
    extra = planned("train.steps=5", "launcher=slurm", "launcher.extra={mail-type: END}").launcher.extra
    assert extra == {"mail-type": "END"}


def test_two_values_of_one_id_that_a_module_may_tell_apart_are_refused(own):
    same = planned(*CUSTOM, "model.kwargs.slope=0,0")
    assert (len(same.runs), same.duplicates) == (1, 1)
    same = planned(*CUSTOM, "model.kwargs={kernel: 5, slope: 1},{slope: 1, kernel: 5}")
    assert (len(same.runs), same.duplicates) == (1, 1)
    with pytest.raises(
        UserError, match=r"found model\.kwargs=\{'slope': 0\} and \{'slope': 0\.0\}, which have one run id"
    ):
        planned(*CUSTOM, "model.kwargs.slope=0,0.0")


def test_its_keys_are_axes_of_a_sweep_and_hold_on_the_command_line(own):
    sweep(
        own,
        "defaults: [{override /model: net}]\ntrain: {steps: 5}\n"
        "sweep: {grid: [{product: {model.kwargs.slope: [0, 1]}}]}",
    )
    assert arguments_of(planned("sweep=mine")) == [{"kernel": 5, "slope": 0}, {"kernel": 5, "slope": 1}]
    assert arguments_of(planned("sweep=mine", "model.kwargs={slope: 2}")) == [{"kernel": 5, "slope": 2}]
    assert arguments_of(planned("sweep=mine", "+model.kwargs.slope=2")) == [{"kernel": 5, "slope": 2}]


def test_a_key_that_the_yaml_leaves_out_is_that_of_its_class(own):
    [run] = planned("model=short", "model.depth=3", "train.steps=5").runs
    [same] = planned("model=mlp", "model.width=8", "model.depth=3", "train.steps=5").runs
    assert run.run_id == same.run_id
    assert [run.config.model.depth for run in planned("model=short", "model.depth=1,3", "train.steps=5").runs] == [1, 3]
    assert planned("train.steps=5", "launcher=jumbo", "launcher.minutes=30").launcher.minutes == 30


@pytest.mark.parametrize(
    ("said", "named"),
    default_cases(
        [
            (["model=short", "model.detph=3"], "unknown key model.detph"),
            (["model=short", "model.detph=3,4"], "unknown key model.detph in the sweep; did you mean model.depth"),
            (["launcher=jumbo", "launcher.minuets=30"], "unknown key launcher.minuets"),
            (["model=short", "model.kwargs={kernel: 5}"], "unknown key model.kwargs"),
        ],
        (["model=short", "model.detph=3"], "unknown key model.detph"),
    ),
)
def test_a_key_that_neither_has_is_one_sentence(own, said, named):
    with pytest.raises(UserError) as caught:
        planned(*said, "train.steps=5")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
