"""Private names of Hydra: read config files, compose a config without Hydra's own, and start it on Python 3.14."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import GroupDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

__all__ = [
    "HYDRA",
    "ConfigFiles",
    "FileConfigSource",
    "compose_without_hydra",
    "group_options",
    "lazy_help_as_text",
    "read_files_with",
]
HYDRA = "hydra"  # the group, and the key, of Hydra's own config


def read_files_with(source: type[FileConfigSource]) -> None:
    """Let Hydra read config files, wherever they lie, with a source of ours; its plugins must have been registered."""
    SourcesRegistry.instance().types[source.scheme()] = source


class ConfigFiles(CachingConfigRepository):
    """Hydra's repository without the groups below hydra/: a file is read once, each composition works on copies."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.delegate = cast("ConfigLoaderImpl", loader).repository  # not copied: nothing here writes to it
        self.cache: dict[str, ConfigResult | None] = {}
        self._copies: dict[str, ConfigResult | None] = {}

    def forget_copies(self) -> None:
        """Begin a composition with new copies, since Hydra changes the configs it is given."""
        self._copies = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return this composition's copy of a config, None if there is no such file."""
        if config_path not in self._copies:
            found = super().load_config(config_path)
            self._copies[config_path] = None if found is None else _without_hydra(found)
        return self._copies[config_path]


def _without_hydra(found: ConfigResult) -> ConfigResult:
    """Copy a config without the entries of its defaults list for Hydra's own groups."""
    ours = [default for default in found.defaults_list or [] if not _is_hydras(default)]
    return replace(found, config=deepcopy(found.config), defaults_list=ours)


def _is_hydras(default: Any) -> bool:
    return isinstance(default, GroupDefault) and (default.group or "").lstrip("/").split("/")[0] == HYDRA


def group_options(loader: ConfigLoader, group: str) -> list[str]:
    """Return the same as `loader.get_group_options`, without its deep copy of the whole repository."""
    return cast("ConfigLoaderImpl", loader).repository.get_group_options(group)


def compose_without_hydra(
    loader: ConfigLoader, files: ConfigFiles, config_name: str, overrides: Sequence[str]
) -> DictConfig:
    """Return the same as `loader.load_configuration`, except the key `hydra`; raises Hydra's errors.

    The steps are those of ConfigLoaderImpl._load_configuration_impl. Overrides must not be of Hydra's own config.
    """
    files.forget_copies()
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    found = create_defaults_list(
        repo=files, config_name=config_name, overrides_list=parsed, prepend_hydra=False, skip_missing=False
    )
    own = cast("ConfigLoaderImpl", loader)
    cfg = own._compose_config_from_defaults_list(defaults=found.defaults, repo=files)
    OmegaConf.set_struct(cfg, True)
    own._apply_overrides_to_config(found.config_overrides, cfg)
    return cfg


@contextmanager
def lazy_help_as_text() -> Iterator[None]:
    """Give argparse the text of help that Hydra makes late: Python 3.14 refuses what is no text."""
    add_argument = argparse.ArgumentParser.add_argument

    def with_text(parser: argparse.ArgumentParser, *names: str, **options: Any) -> argparse.Action:
        if options.get("help") is not None:
            options["help"] = str(options["help"])
        return add_argument(parser, *names, **options)

    setattr(argparse.ArgumentParser, "add_argument", with_text)  # noqa: B010 - its type is that of each option
    try:
        yield
    finally:
        setattr(argparse.ArgumentParser, "add_argument", add_argument)  # noqa: B010
