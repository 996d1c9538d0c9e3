"""Hydra's private names do what is relied on: a config composed without Hydra's own is the one that Hydra composes."""

from __future__ import annotations

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from omegaconf import OmegaConf

from scaling.compose.session import PRIMARY, compose, session
from scaling.internals.hydra import HYDRA, ConfigFiles, compose_without_hydra, group_options

OVERRIDES = (
    ["model=bottleneck", "model.width=48"],
    ["recipe=finetune", "stage=finetune", "parent.run_id=abc"],
    ["sweep=paper/from_scratch", "optim.lr=0.25"],
)


@pytest.fixture(scope="module")
def loader():
    with session() as opened:
        yield opened


def test_the_loader_is_the_one_whose_methods_are_called(loader):
    assert isinstance(loader, ConfigLoaderImpl)


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_the_config_is_hydra_s_less_hydra(loader, overrides):
    ours = compose_without_hydra(loader, ConfigFiles(loader), PRIMARY, overrides)
    whole = compose(loader, overrides)
    for cfg in (ours, whole):
        OmegaConf.set_struct(cfg, False)
        cfg.pop(HYDRA)
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(whole)
    assert list(ours) == list(whole)


@pytest.mark.parametrize("group", ["model", "sweep", "sweep/paper", "model.width", "nothing"])
def test_members_of_a_group_are_those_that_hydra_finds(loader, group):
    assert group_options(loader, group) == loader.get_group_options(group)


def test_files_are_read_once_and_never_written_to(loader, monkeypatch):
    files = ConfigFiles(loader)
    first, second = (compose_without_hydra(loader, files, PRIMARY, OVERRIDES[0]) for _ in range(2))
    assert first == second
    monkeypatch.setattr(type(files.delegate), "load_config", lambda *_, **__: pytest.fail("a file is read again"))
    first.model.width = -1
    assert compose_without_hydra(loader, files, PRIMARY, OVERRIDES[0]) == second


def test_a_key_that_is_not_there_is_refused_as_by_hydra(loader):
    with pytest.raises(HydraException, match="widht"):
        compose_without_hydra(loader, ConfigFiles(loader), PRIMARY, ["model.widht=3"])
