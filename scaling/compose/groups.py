"""The config of a run for each choice of groups: composed by Hydra's rules, once a choice.

Hydra composes its own config beside ours, from files that it reads anew each time. Where only the choice of groups
differs, ours alone is composed, from files that are read once (scaling/internals/hydra.py). What that saves is measured
in tests/benchmarks/bench_plan.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.session import PRIMARY, compose
from scaling.internals.hydra import HYDRA, ConfigFiles, compose_without_hydra

PLAN_KEYS = ("launcher", "results", "name", "sweep", "hydra")  # of the plan as a whole, not of one run

Choice = tuple[tuple[str, Any], ...]  # groups and the member chosen of each


class Composer:
    """Composes the keys of one run from overrides; each config file is read once."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._files = ConfigFiles(loader)

    def __call__(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose the keys of one run; UserError names the group, key or value that is wrong."""
        return run_keys(self.whole(overrides))

    def whole(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Compose the keys of the plan as well, all but Hydra's own."""
        if not any(line.lstrip("+~").startswith(HYDRA) for line in overrides):
            try:
                return plain_keys(compose_without_hydra(self._loader, self._files, PRIMARY, overrides))
            except (HydraException, OmegaConfBaseException):
                pass  # a key may be filled in from Hydra's config; if not, Hydra raises its own error below
        return plain_keys(compose(self._loader, overrides))


def plain_keys(cfg: Any) -> dict[str, Any]:
    """Return all keys of a composed config but Hydra's own, interpolations resolved."""
    whole: Any = OmegaConf.to_container(cfg, resolve=True)
    return {key: value for key, value in whole.items() if key != HYDRA}


def run_keys(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of one run from those of a config."""
    return {key: value for key, value in whole.items() if key not in PLAN_KEYS}


class GroupConfigs:
    """The config for each choice of groups beside the `fixed` overrides, composed when it is first asked for.

    `known`: the config without a choice, where the caller has it.
    """

    def __init__(self, composer: Composer, fixed: Sequence[str], known: Mapping[str, Any] | None = None) -> None:
        self._composer, self._fixed = composer, fixed
        self._composed: dict[Choice, Mapping[str, Any]] = {} if known is None else {(): known}

    def __call__(self, choice: Choice) -> Mapping[str, Any]:
        """Return the config, which must not be changed."""
        if choice not in self._composed:
            groups = {key for key, _ in choice}
            fixed = [line for line in self._fixed if line.split("=")[0] not in groups]
            self._composed[choice] = self._composer([*fixed, *(f"{key}={value}" for key, value in choice)])
        return self._composed[choice]
