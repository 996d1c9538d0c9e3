"""A ./conf of another project is named where it is in the way, and a user's own is not mistaken for one."""

from __future__ import annotations

import shutil

import pytest

from scaling.compose.roots import shipped
from scaling.compose.session import session
from scaling.errors import UserError
from scaling.plan.expand import expand
from tests.default_cases import default_cases

THEIRS = "defaults:\n  - db: pg\n  - _self_\nlr: 1\n"


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "db").mkdir(parents=True)
    (tmp_path / "conf" / "db" / "pg.yaml").write_text("host: x\n")
    return tmp_path / "conf"


def refused(*arguments):
    with pytest.raises(UserError) as caught, session() as loader:
        expand(loader, arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("said", [["train.steps=5"], ["sweep=quickstart"], ["lr=3"], ["model=mlp"], []])
def test_a_config_of_another_project_is_named(conf, said):
    (conf / "config.yaml").write_text(THEIRS)
    assert "conf/config.yaml" in refused(*said)


@pytest.mark.parametrize("said", default_cases([[], ["model.width=4"], ["model=mlp", "data=digits"]], []))
def test_a_group_of_another_project_is_named(conf, said):
    (conf / "model").mkdir()
    (conf / "model" / "mlp.yaml").write_text("hidden: 4\n")
    assert "conf/model" in refused("train.steps=5", *said)


def test_a_config_and_a_group_of_one_s_own_are_not_in_the_way(conf):
    own = (shipped("conf") / "config.yaml").read_text().replace("seed: 0", "seed: 7")
    (conf / "config.yaml").write_text(own)
    (conf / "model").mkdir()
    shutil.copy(shipped("conf") / "model" / "mlp.yaml", conf / "model")
    with session() as loader:
        assert expand(loader, ["train.steps=5"]).runs[0].config.seed == 7
    assert "conf/" not in refused("train.steps=5", "data.nosuch=4")
