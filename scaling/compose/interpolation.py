"""Interpolations such as ${model.width}: kept as written, and resolved for each cell of a grid."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.keys import value_at
from scaling.compose.session import one_sentence_errors

MARK = "${"
MISSING = "???"  # OmegaConf's mark of a value that has to be given
MOST_STEPS = 20  # length of a chain of interpolations
KEY = re.compile(r"\$\{\s*([A-Za-z_]\w*(?:\.\w+)*)\s*\}")  # ${optim.lr}
NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")  # of a key, or of a resolver, in an interpolation
# Keys of the plan as a whole, not of one run.
PLAN_KEYS = ("launcher", "results", "group", "name", "mirror", "on_end", "sweep", "hydra")
RULES = ("set", "where")  # of a sweep and of its stages: expressions


class Composed:
    """A composed config; written: all its keys, with unresolved interpolations."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.written = written
        self._interpolates = {key: interpolates(value) for key, value in written.items()}
        self._tree: DictConfig | None = None  # for resolving interpolations; made when it is needed
        self._held: Mapping[str, Any] = written  # the values in the tree

    @cached_property
    def run(self) -> dict[str, Any]:
        """The keys of one run, unresolved."""
        return {key: value for key, value in self.written.items() if key not in PLAN_KEYS}

    def of_plan(self, key: str) -> Any:
        """Return the resolved value of a key of the plan."""
        return self.resolved({key: self.written[key]})[key]

    def resolved(self, keys: Mapping[str, Any], *, only: Collection[str] | None = None) -> Mapping[str, Any]:
        """Resolve the interpolations in keys of this config, which may be changed copies.

        only: the keys to return, by default all. UserError names an interpolation that cannot be resolved.
        """
        wanted = keys if only is None else {key: keys[key] for key in only}
        if not any(
            self._interpolates[key] if value is self.written.get(key) else interpolates(value)
            for key, value in wanted.items()
        ):
            return wanted
        try:
            return {key: _followed(value, {**self.written, **keys}) for key, value in wanted.items()}
        except LookupError:  # more than the name of a key: left to OmegaConf
            pass
        with one_sentence_errors():
            tree = self._tree_with(keys)
            return {key: _filled(value, tree, key) for key, value in wanted.items()}

    def sweep(self) -> Any:
        """Return `sweep:` with its interpolations resolved, except those of keys of a run.

        The latter stay as written in values, and become names of keys in rules.
        """
        named = _with_names(self.written["sweep"], self.run)
        if not interpolates(named):
            return named
        with one_sentence_errors():
            of_plan = {key: value for key, value in self.written.items() if key in PLAN_KEYS}
            alone = OmegaConf.create({**of_plan, "sweep": named})
            return _filled(named, self._tree_with({"sweep": named}), "sweep", cells=_Cells(frozenset(self.run), alone))

    def _tree_with(self, keys: Mapping[str, Any]) -> DictConfig:
        """Return the tree with these values and all others as written; only changes since the last call are set."""
        if self._tree is None:
            self._tree = OmegaConf.create(dict(self.written))
        wanted = {**self.written, **keys}
        _set_changed(self._tree, self._held, wanted)
        self._held = wanted
        return self._tree


def _followed(value: Any, keys: Mapping[str, Any], depth: int = 0) -> Any:
    """Resolve interpolations that are only names of keys, like OmegaConf, which takes 0.3 ms to parse one.

    LookupError for any other interpolation, or a missing key.
    """
    if not interpolates(value):
        return value
    if isinstance(value, Mapping):
        return {name: _followed(item, keys, depth) for name, item in value.items()}
    if isinstance(value, list):
        return [_followed(item, keys, depth) for item in value]
    if depth > MOST_STEPS or "\\" in value or value.count(MARK) != len(KEY.findall(value)):
        raise LookupError(value)
    named = KEY.fullmatch(value)
    if named is not None:
        return _at(named[1], keys, depth)
    return KEY.sub(lambda found: _text(_at(found[1], keys, depth)), value)


def _at(key: str, keys: Mapping[str, Any], depth: int) -> Any:
    found = value_at(keys, key)
    if found == MISSING:
        raise LookupError(key)
    return _followed(found, keys, depth + 1)


def _text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        raise LookupError(value)
    return str(value)


def _set_changed(tree: Any, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Replace changed values in a tree leaf by leaf, because making nodes is slow."""
    for key, value in wanted.items():
        before = held[key]
        if value is before:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping) and value.keys() == before.keys():
            _set_changed(tree[key], before, value)
        else:
            tree[key] = value


def interpolates(value: Any) -> bool:
    """Return whether a value contains an interpolation."""
    if isinstance(value, str):
        return MARK in value
    if isinstance(value, Mapping):
        return any(interpolates(item) for item in value.values())
    return isinstance(value, list) and any(interpolates(item) for item in value)


def named_in(value: Any) -> Iterable[str]:
    """Yield the names in the interpolations of a value: keys, also in arguments of resolvers, and resolvers."""
    if isinstance(value, str):
        yield from NAME.findall(_inside(value))
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from named_in(item)


def _inside(text: str) -> str:
    """Return the parts of a text that are inside interpolations."""
    found, depth = [], 0
    for part in re.split(r"(\$\{|\{|\})", text):
        if part == MARK or (part == "{" and depth):
            depth += 1
        elif part == "}" and depth:
            depth -= 1
        if depth:
            found.append(part)
    return " ".join(found)


@dataclass(frozen=True)
class _Cells:
    """Decides which values each cell resolves for itself: those that name a key of `run`, or depend on one.

    alone: the plan's keys without those of a run.
    """

    run: frozenset[str]
    alone: DictConfig

    def resolve(self, value: str, path: Sequence[Any], found: Any) -> bool:
        """Return whether each cell resolves the value at the path; found: the value without cells."""
        if any(name.partition(".")[0] in self.run for name in named_in(value)):
            return True
        node: Any = self.alone
        try:
            for step in path:
                node = node[step]
        except OmegaConfBaseException:
            return True
        return bool(node != found)


def _filled(value: Any, parent: Any, key: Any, *, cells: _Cells | None = None, path: tuple[Any, ...] = ()) -> Any:
    """Return the resolved value at `key` of a node, except scalars that cells resolve; path: of the node."""
    if not interpolates(value):
        return value
    path = (*path, key)
    if isinstance(value, Mapping):
        return {name: _filled(item, parent[key], name, cells=cells, path=path) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, parent[key], index, cells=cells, path=path) for index, item in enumerate(value)]
    try:
        found = parent[key]
    except OmegaConfBaseException:
        if cells is not None:
            return value  # a cell may be able to resolve it
        raise
    if OmegaConf.is_config(found):
        return OmegaConf.to_container(found, resolve=True)
    return value if cells is not None and cells.resolve(value, path, found) else found


def _with_names(sweep: Any, run: Mapping[str, Any]) -> Any:
    """Return `sweep:` with ${optim.lr} replaced by the name optim.lr in its rules and in those of its stages."""

    def name(found: re.Match[str]) -> str:
        return found[1] if found[1].partition(".")[0] in run else found[0]

    def named(rule: Any) -> Any:
        if isinstance(rule, Mapping):
            return {key: named(item) for key, item in rule.items()}
        return KEY.sub(name, rule) if isinstance(rule, str) else rule

    def with_names(entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        return {key: named(value) if key in RULES else value for key, value in entry.items()}

    if not isinstance(sweep, Mapping) or not interpolates(sweep):
        return sweep
    stages = sweep.get("stages")
    if isinstance(stages, list):
        sweep = {**sweep, "stages": [with_names(entry) for entry in stages]}
    return with_names(sweep)
