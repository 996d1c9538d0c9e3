"""Compose the config of a run by Hydra's rules, once for each choice of config groups.

Hydra also composes its own config, from files that it reads again each time. Where only the choice of groups differs,
only the run's config is composed, from files that are read once (scaling/internals/hydra.py). The time that this saves
is measured in tests/benchmarks/bench_plan.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.interpolation import Composed, named_in
from scaling.compose.keys import accepts_key, value_at
from scaling.compose.session import PRIMARY, compose, one_sentence_errors
from scaling.errors import UserError
from scaling.internals.hydra import HYDRA, ConfigFiles, compose_without_hydra, group_options

Choice = tuple[tuple[str, str], ...]  # groups and the chosen member of each


class Composer:
    """Composes configs from overrides; each config file is read once."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._files = ConfigFiles(loader)
        self._is_group: dict[str, bool] = {}

    def __call__(self, overrides: Sequence[str]) -> Composed:
        """Compose all keys except Hydra's own; UserError names the group, key or value that is wrong.

        Keys of a group's class can be set even if the group's YAML does not have them.
        """
        try:
            return self._composed(overrides)
        except UserError:
            added = self._with_added(overrides)
            if added == list(overrides):
                raise
            return self._composed(added)

    def is_group(self, key: str) -> bool:
        """Return whether a key chooses a member of a group."""
        if key not in self._is_group:
            self._is_group[key] = "." not in key and bool(group_options(self._loader, key))
        return self._is_group[key]

    def _composed(self, overrides: Sequence[str]) -> Composed:
        if not any(line.lstrip("+~").startswith(HYDRA) for line in overrides):
            try:
                cfg = compose_without_hydra(self._loader, self._files, PRIMARY, overrides)
            except (HydraException, OmegaConfBaseException):
                pass  # Hydra raises its own error below
            else:
                written = _written(cfg)
                if not any(HYDRA in name for name in named_in(written)):
                    return Composed(written)
        return Composed(_written(compose(self._loader, overrides)))

    def _with_added(self, overrides: Sequence[str]) -> list[str]:
        """Return the overrides with ++ before those of keys that the class has and the YAML leaves out."""
        with one_sentence_errors():
            parsed = OverridesParser.create(config_loader=self._loader).parse_overrides(list(overrides))
        plain = [override for override in parsed if self._sets_a_key(override)]
        files = self._composed(
            [line for line, override in zip(overrides, parsed, strict=True) if override not in plain]
        )
        return [
            f"++{line}" if override in plain and _accepts_all(files.written, override) else line
            for line, override in zip(overrides, parsed, strict=True)
        ]

    def _sets_a_key(self, override: Override) -> bool:
        if override.is_add() or override.is_force_add() or override.is_delete() or override.is_hydra_override():
            return False
        return isinstance(override.value(), Mapping) or not self._files.group_exists(override.key_or_group)


def _accepts_all(config: Mapping[str, Any], override: Override) -> bool:
    return all(
        key.startswith("sweep.set.") or _is_set(config, key) or accepts_key(config, key)
        for key, _ in leaves(override.key_or_group, override.value())
    )


def _is_set(config: Mapping[str, Any], key: str) -> bool:
    try:
        value_at(config, key)
    except LookupError:
        return False
    return True


def leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values that an override sets; a dictionary's are yielded one by one, as Hydra merges them."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(f"{key}.{name}", item)
    else:
        yield key, value


def _written(cfg: Any) -> dict[str, Any]:
    written: Any = OmegaConf.to_container(cfg, resolve=False)
    return dict(written)


class GroupConfigs:
    """The config for each choice of groups together with the `fixed` overrides, composed at its first use.

    known: the config without a choice, if the caller has it.
    """

    def __init__(self, composer: Composer, fixed: Sequence[str], known: Composed | None = None) -> None:
        self._composer, self._fixed = composer, fixed
        self._composed: dict[Choice, Composed] = {} if known is None else {(): known}

    def __call__(self, choice: Choice) -> Composed:
        """Return the config of a choice, which must not be changed."""
        if choice not in self._composed:
            groups = {key for key, _ in choice}
            fixed = [line for line in self._fixed if not _chooses(line, groups)]
            self._composed[choice] = self._composer([*fixed, *(f"{key}={quoted(value)}" for key, value in choice)])
        return self._composed[choice]

    def of_cell(self, cell: Mapping[str, Any]) -> tuple[Composed, dict[str, Any]]:
        """Return the config of a cell's choice of group members, and the values of its other keys."""
        chosen = {key: value for key, value in cell.items() if self._composer.is_group(key)}
        config = self(tuple((key, _member(key, value)) for key, value in chosen.items()))
        return config, {key: value for key, value in cell.items() if key not in chosen}


def _member(group: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and value:
        wrong = f"a member of the group {group}; wanted the name of one, or its keys; write {group}.{next(iter(value))}"
        raise UserError(f"found {value} as {wrong}")
    raise UserError(f"found {value!r} as a member of the group {group}; wanted the name of one; write {group}: [NAME]")


def _chooses(line: str, groups: set[str]) -> bool:
    """Return whether an override chooses a member of one of the groups; a dictionary sets keys instead."""
    key, _, value = line.partition("=")
    return key.lstrip("+").strip() in groups and not value.lstrip().startswith("{")


def quoted(text: str) -> str:
    """Return a text quoted for Hydra's grammar, so that 1e3 is not read as a number."""
    return "'" + text.replace("'", "\\'") + "'"
