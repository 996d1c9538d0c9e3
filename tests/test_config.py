"""What a config may not say is told in one sentence: what was found, what is wanted, what to do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scaling.compose.session import session
from scaling.config import Train, read_group, read_part
from scaling.errors import UserError
from scaling.plan.expand import expand


def refused(*overrides):
    with session() as loader, pytest.raises(UserError) as error:
        expand(loader, ["train.steps=10", *overrides])
    return str(error.value)


def given(key, wanted):
    return f"found no value for {key} (null), which has to be given; wanted {wanted}; add {key}=VALUE"


def test_a_required_key_that_is_null_is_asked_for():
    assert refused("data=image_folder", "data.folder=pets") == given("data.classes", "a whole number")
    assert refused("model.width=null") == given("model.width", "a whole number")
    assert refused("model.width=64,null") == given("model.width", "a whole number")
    assert refused("optim.lr=null") == given("optim.lr", "a number")
    assert refused("train.precision=null") == given("train.precision", "'auto', 'fp32', 'tf32' or 'bf16'")
    with pytest.raises(UserError, match="found no value for launcher"):
        read_group("launcher", {"_target_": "scaling.dispatch.launchers.Local", "threads": None})


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("Local", {"workers": 0}, "launcher.workers=0; wanted a value greater than 0"),
        ("Slurm", {"max_jobs": 0}, "launcher.max_jobs=0; wanted a value greater than 0"),
        ("Slurm", {"minutes": 0}, "launcher.minutes=0; wanted a value greater than 0"),
    ],
)
def test_a_launcher_that_could_train_nothing_is_named(kind, keys, said):
    with pytest.raises(UserError, match=said):
        read_group("launcher", {"_target_": f"scaling.dispatch.launchers.{kind}", **keys})


def test_a_group_that_is_null_is_named():
    assert refused("model=null") == "found model=null; wanted the name of one; give model=bottleneck, or leave it out"
    assert "found sweep=null" in refused("sweep=null")


def test_a_value_of_the_wrong_kind_is_told_what_is_wanted():
    assert refused("model.width=wide") == "found model.width='wide'; wanted a whole number; change it"
    assert refused("train.batch=0") == "found train.batch=0; wanted a value greater than 0; change it"
    assert refused("model.norm=group") == "found model.norm='group'; wanted 'layer', 'batch' or 'none'; change it"


def test_what_a_group_refuses_by_itself_is_one_sentence():
    said = "found model.param=mup without model.base_width; wanted the width at which the learning rate was tuned, "
    assert refused("model.param=mup") == said + "where mup and standard agree; give it"


@pytest.mark.parametrize(("kind", "raw"), [(int, True), (Train, {"batch": True}), (Train, {"clip": False})])
def test_yes_and_no_are_no_numbers(kind, raw):
    with pytest.raises(UserError, match=r"found where.*=(true|false); wanted a number"):
        read_part(kind, raw, where="where")


def test_yes_and_no_are_taken_where_they_are_wanted():
    found = read_part(Train, {"filters": True, "graph": False, "keep": True}, where="train")
    assert (found.filters, found.graph, found.keep) == (True, "off", "last")


@dataclass(frozen=True)
class Nothing:
    """A class of one's own that lacks what a run asks of it."""

    name: str = "nothing"


@pytest.mark.parametrize(
    ("group", "lacks"), [("model", "family"), ("data", "load"), ("schedule", "factor"), ("augment", "build")]
)
def test_a_class_without_what_its_group_needs_is_refused(monkeypatch, group, lacks):
    monkeypatch.setattr("scaling.config.check_trusted", lambda *_, **__: None)
    with pytest.raises(UserError, match=f"found Nothing without {lacks}; wanted .*; add it"):
        read_group(group, {"_target_": f"{__name__}.Nothing"})
