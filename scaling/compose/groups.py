"""The configs that the cells of a grid build on: composed by Hydra's rules, once for each choice of groups.

Hydra composes its own config beside ours, from files that it reads anew every time. Here its functions are applied to
our groups alone, whose files are read once: six times as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import GroupDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.session import PRIMARY, compose

PLAN_KEYS = ("launcher", "results", "name", "sweep", "hydra")  # of the plan as a whole, not of one run
HYDRA = "hydra"  # the group, and the key, of what is Hydra's own

Choice = tuple[tuple[str, Any], ...]  # groups and the member chosen of each


class OwnConfigs(CachingConfigRepository):
    """Hydra's repository without Hydra's own groups: files are read once, and every composition works on copies."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self._copies: dict[str, ConfigResult | None] = {}

    def fresh(self) -> OwnConfigs:
        """Return the repository with no copy in use."""
        self._copies = {}
        return self

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return the copy of a config that is in use."""
        if config_path not in self._copies:
            found = super().load_config(config_path)
            self._copies[config_path] = None if found is None else _copied(found)
        return self._copies[config_path]


def _copied(found: ConfigResult) -> ConfigResult:
    ours = [default for default in found.defaults_list or [] if not _is_hydras(default)]
    return replace(found, config=deepcopy(found.config), defaults_list=ours)


def _is_hydras(default: Any) -> bool:
    return isinstance(default, GroupDefault) and (default.group or "").lstrip("/").split("/")[0] == HYDRA


class Composer:
    """Composes the keys of a run for each choice of groups, on one reading of the files."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._files = OwnConfigs(loader.repository) if isinstance(loader, ConfigLoaderImpl) else None

    def __call__(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose the keys of one run; UserError names the group, key or value that is off."""
        return own_keys(self.whole(overrides))

    def whole(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose the keys of the plan as well, all but Hydra's own."""
        if self._files is not None and not any(line.lstrip("+~").startswith(HYDRA) for line in overrides):
            try:
                return plain_keys(self._own(self._files.fresh(), overrides))
            except (HydraException, OmegaConfBaseException):
                pass  # Hydra itself has the last word on what is wrong
        return plain_keys(compose(self._loader, overrides))

    def _own(self, files: OwnConfigs, overrides: Sequence[str]) -> Any:
        """Do as ConfigLoaderImpl does in `load_configuration`, without Hydra's config."""
        parsed = OverridesParser.create(config_loader=self._loader).parse_overrides(list(overrides))
        found = create_defaults_list(
            repo=files, config_name=PRIMARY, overrides_list=parsed, prepend_hydra=False, skip_missing=False
        )
        assert isinstance(self._loader, ConfigLoaderImpl)
        cfg = self._loader._compose_config_from_defaults_list(defaults=found.defaults, repo=files)
        OmegaConf.set_struct(cfg, True)
        ConfigLoaderImpl._apply_overrides_to_config(found.config_overrides, cfg)
        return cfg


def plain_keys(cfg: Any) -> dict[str, Any]:
    """Return all keys of a config but Hydra's own, interpolations filled in."""
    whole: Any = OmegaConf.to_container(cfg, resolve=True)
    return {key: value for key, value in whole.items() if key != HYDRA}


def own_keys(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of one run from those of a config."""
    return {key: value for key, value in whole.items() if key not in PLAN_KEYS}


class Bases:
    """The config for each choice of groups beside what is `fixed`, composed when it is first asked for.

    `known`: the config without a choice, where the caller has it.
    """

    def __init__(self, composer: Composer, fixed: Sequence[str], known: Mapping[str, Any] | None = None) -> None:
        self._composer, self._fixed = composer, fixed
        self._made: dict[Choice, Mapping[str, Any]] = {} if known is None else {(): known}

    def __call__(self, chosen: Choice) -> Mapping[str, Any]:
        """Return the config, which is not to be changed."""
        if chosen not in self._made:
            groups = {key for key, _ in chosen}
            kept = [line for line in self._fixed if line.split("=")[0] not in groups]
            self._made[chosen] = self._composer([*kept, *(f"{key}={value}" for key, value in chosen)])
        return self._made[chosen]
