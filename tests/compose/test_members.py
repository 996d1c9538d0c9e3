"""Data sets and launchers are read as a run would get them, and one that is broken hides none of the others."""

from __future__ import annotations

import pytest

from scaling.commands.tools.doctor import checks
from scaling.compose.keys import where_else
from scaling.compose.members import member, members
from scaling.compose.session import session
from scaling.data.prepare.survey import read_set, survey
from scaling.errors import UserError
from scaling.plan.expand import expand


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder whose own data sets are told by defaults and interpolations, and one that is no YAML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OWN_ROOT", str(tmp_path / "there"))
    for group, name, text in [
        ("data", "small", "defaults: [stl10]\nroot: ${oc.env:OWN_ROOT}\nexamples: ${.classes}\n"),
        ("data", "half", "[1, 2"),
        ("data", "lost", "_target_: nowhere.Data\nclasses: 2\n"),
        ("launcher", "many", "defaults: [local]\nworkers: 3\n"),
        ("launcher", "half", "[1, 2"),
    ]:
        (tmp_path / "conf" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_member_is_composed_and_its_keys_may_be_given(own):
    assert {"small", "cifar10"} <= set(members("data"))
    assert member("data", "small")["root"] == str(own / "there")
    given = read_set("small", {"classes": 5})
    assert (given.classes, given.examples, given.root) == (5, 5, str(own / "there"))
    assert member("data", "digits") == {"_target_": "scaling.data.digits.Digits", **member("data", "digits")}


def test_a_broken_file_is_told_and_the_others_are_found(own):
    found = {entry.name: entry for entry in survey()}
    assert found["digits"].ready
    assert not {"npz", "npz_regression", "image_folder"} & set(found)  # their sizes are the user's to say
    assert str(own / "there") in found["small"].advice
    assert "half.yaml" in found["half"].advice
    assert "nowhere.Data" in found["lost"].advice
    with pytest.raises(UserError, match=r"half\.yaml"):
        read_set("half", {})


@pytest.mark.parametrize(("group", "name"), [("data", "own"), ("model", "own"), ("optim", "own")])
@pytest.mark.parametrize("number", ["010", "1:30", "-012"])
def test_numbers_that_yaml_misreads_are_refused_in_members_too(own, group, name, number):
    text = f"_target_: {group}.Own\nkey: {number}\n"
    (own / "conf" / group).mkdir(exist_ok=True)
    (own / "conf" / group / f"{name}.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"{name}\.yaml, line 2, {number}, which YAML reads as"):
        member(group, name)
    with pytest.raises(UserError, match=rf"{name}\.yaml, line 2, {number}, which YAML reads as"), session() as loader:
        expand(loader, [f"{group}={name}", "train.steps=5"])


def test_the_doctor_looks_at_every_launcher(own):
    looks = checks(own)
    assert "half.yaml" in looks["half"]()
    assert looks["many"]() == looks["local"]()
    assert any("not here" in line for line in looks["data"]())


def test_no_key_of_hydra_is_proposed_for_an_unknown_one():
    config = {"hydra": {"mode": None, "lr": 1}, "optim": {"lr": 1e-3}, "seed": 0}
    assert where_else(config, "lr") == "did you mean optim.lr?"
    assert where_else(config, "mode") == ""
