"""Turn a cell of a grid into a planned run: set its keys, evaluate the rules, and keep or drop the cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from scaling.accounting import COUNT_COLUMNS
from scaling.compose.interpolation import Composed
from scaling.compose.keys import accepts_key, as_read, names_of, value_at, where_else
from scaling.config import RunConfig, plain, read_config, read_group, read_part
from scaling.errors import ImpossibleRun, UserError, check_keys, suggestion
from scaling.plan.expressions import Expression, parse
from scaling.plan.grid import Block
from scaling.plan.identity import shown_name
from scaling.plan.milestones import check_whole_steps
from scaling.plan.plan import Dropped
from scaling.plan.planned import PlannedRun, plan_run, with_parent
from scaling.plan.quantities import COLUMNS, ROUNDING, Quantities, count_model

SHORT = {  # short names in expressions, and the config keys they stand for
    "family": "model.family",
    "width": "model.width",
    "depth": "model.depth",
    "expansion": "model.expansion",
    "size": "data.size",
    "lr": "optim.lr",
    "batch": "train.batch",
    "budget": "train.budget",
    "seed": "seed",
}
KEYS = ("grid", "stages", "set", "where", "limit", "trunk")  # of `sweep:`


@dataclass(frozen=True)
class Rules:
    """The rules of a sweep for each cell: keys computed by expressions (in order), and which cells are kept."""

    set: Mapping[str, Expression] = field(default_factory=dict)
    where: Expression | None = None


def read_rules(sweep: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> Rules:
    """Read `set:` and `where:`; a key given on the command line (`without`) is not computed."""
    check_keys(sweep, KEYS, under="sweep.")
    given = sweep.get("set") or {}
    if not isinstance(given, Mapping):
        raise UserError(f"found sweep.set={given!r}; wanted {{key: expression}}; change it")
    expressions = {key: parse(text, where=f"set {key}") for key, text in given.items()}
    where = sweep.get("where")
    return Rules(
        set={key: expression for key, expression in expressions.items() if key not in without},
        where=None if where is None else parse(where, where="where"),
    )


def check_axes(blocks: Sequence[Block], rules: Rules) -> None:
    """Raise UserError if an axis of the grid is also computed by `set:`, which would override it."""
    for key in (key for block in blocks for key in block.keys()):  # noqa: SIM118 - a block is no dictionary
        computed = next((name for name in rules.set if f"{key}.".startswith(f"{name}.")), None)
        if computed is not None:
            raise UserError(
                f"found {key} as an axis of the grid and {computed} under set:; wanted one of the two; drop one"
            )


@dataclass(frozen=True)
class Parents:
    """How a cell of a stage finds its parent, the run that it starts from, and inherits from it.

    find: returns the parent by the id in the config, or by None if a sweep's stage implies it; own_data: the cell
    chooses its data set, otherwise it inherits its parent's; data: data keys given for all cells.
    """

    find: Callable[[str | None], PlannedRun | None] = lambda run_id: None
    own_data: bool = True
    data: Mapping[str, Any] = field(default_factory=dict)

    def parent_of(self, raw: Mapping[str, Any]) -> PlannedRun | None:
        """Return the parent of a config, None if it trains from scratch."""
        keys = raw["parent"] or {}
        if not isinstance(keys, Mapping):
            raise UserError(f"found parent={keys}; wanted its keys run_id and step; write parent.run_id={keys}")
        if read_group("stage", raw["stage"]).begins:
            return None
        run_id = keys.get("run_id")
        return self.find(None if run_id is None else read_part(str, run_id, where="parent.run_id"))

    def inherit(self, raw: Mapping[str, Any], parent: PlannedRun, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with its parent's model and, unless it chooses its own, its parent's data."""
        step = raw["parent"]["step"]
        raw = {**raw, "model": plain(parent.config.model), "parent": {"run_id": parent.run_id, "step": step}}
        if self.own_data:
            return raw
        raw["data"] = plain(parent.config.data)
        for key, value in {**self.data, **values}.items():
            if key.startswith("data."):
                raw = assign(raw, key, value)
        return raw


def plan_cell(base: Composed, values: Mapping[str, Any], rules: Rules, parents: Parents) -> PlannedRun | Dropped:
    """Turn a cell into a planned run or a dropped cell with the reason; UserError if the sweep itself is wrong.

    Interpolations use the values of the cell's axes, its parent's keys and the keys computed by `set:`.
    """
    raw: Mapping[str, Any] = base.run
    for key, value in values.items():
        raw = assign(raw, key, value)
    start = base.resolved(raw, only=("stage", "parent"))
    parent = parents.parent_of(start)
    if parent is not None:
        raw = parents.inherit({**raw, "parent": start["parent"]}, parent, values)
    try:
        raw = computed(base, raw, rules, parent)
        names = Names(base.resolved(raw), parent)
        if rules.where is not None:
            failed = rules.where.first_false(names.lookup)
            if failed is not None:
                found = ", ".join(f"{name} = {_show(names.lookup(name))}" for name in failed.names())
                return Dropped(values, f"where: {failed.text} ({found or 'for every cell'})")
        lr_rule, batch_rule = (rules.set[key].text if key in rules.set else "" for key in ("optim.lr", "train.batch"))
        _check_train(names.config)
        run = plan_run(names.config, overrides=values, lr_rule=lr_rule, quantities=names.quantities, parent=parent)
        return replace(run, batch_rule=batch_rule) if batch_rule else run
    except ImpossibleRun as error:
        return Dropped(values, str(error))


def _check_train(config: RunConfig) -> None:
    """Raise UserError for parts of steps and for smoothing without labels.

    Runs stored by earlier versions may have them: they took whole steps, and smoothed nothing.
    """
    train, data = config.train, config.data
    check_whole_steps(train.milestones)
    if train.label_smoothing and not data.has_error and config.stage.trains:
        raise UserError(
            f"found train.label_smoothing={train.label_smoothing:g} with data={data.name}, a regression; wanted 0, "
            f"because there are no labels to smooth; change it"
        )
    steps = train.steps
    if steps is not None and abs(steps - round(steps)) > ROUNDING:
        raise UserError(
            f"found train.steps={steps!r}; wanted a whole number; change it (round: 1 in a range, // 1 after a rule)"
        )


def computed(base: Composed, raw: Mapping[str, Any], rules: Rules, parent: PlannedRun | None) -> Mapping[str, Any]:
    """Return a cell's config with the keys computed by `set:`; UserError if a rule depends on a later one."""
    values: dict[str, Any] = {}
    before: list[Mapping[str, Any]] = []
    for key, expression in rules.set.items():
        before.append(raw)
        values[key] = expression.evaluate(Names(base.resolved(raw), parent).lookup)
        raw = assign(raw, key, values[key])
    for i, (key, expression) in enumerate(list(rules.set.items())[:-1]):
        later = before[i]
        for other in list(values)[i + 1 :]:
            later = assign(later, other, values[other])
        found = expression.evaluate(Names(base.resolved(later), parent).lookup)
        if found != values[key]:
            raise UserError(
                f"found set: {key} = {expression.text}, which is {_show(values[key])} before the rules below it and "
                f"{_show(found)} after them; wanted each rule below those whose keys it reads; move {key} down"
            )
    return raw


def assign(raw: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the config with one key changed; UserError if there is no such key."""
    return _assigned(raw, key.split("."), value, (raw, key))


def _assigned(raw: Mapping[str, Any], path: Sequence[str], value: Any, of: tuple[Mapping[str, Any], str]) -> Any:
    """Return the group with the value at the path changed; of: the whole config and key, for errors."""
    head, *rest = path
    if head not in raw:
        config, key = of
        if not accepts_key(config, key):
            if (plain := key.strip(" +~")) != key:
                raise UserError(f"found the key {key!r} in the sweep; wanted no signs or blanks; write {plain}")
            inside = key.removesuffix(".".join(path))
            known = [f"{inside}{name}" for name in names_of(raw)]
            hint = where_else(config, key) or suggestion(f"{inside}{head}", known)
            raise UserError(f"found the unknown key {key} in the sweep; {hint}")
        return {**raw, head: _assigned({}, rest, value, of) if rest else value}
    if not rest:
        return {**raw, head: value}
    if not isinstance(raw[head], Mapping):
        above = of[1].removesuffix(f".{'.'.join(rest)}")
        raise UserError(f"found the key {of[1]} in the sweep, but {above} is a value; change the key")
    return {**raw, head: _assigned(raw[head], rest, value, of)}


@dataclass(frozen=True)
class Names:
    """The quantities that an expression can name, computed lazily from a config.

    For a stage they are those of the run from scratch at the milestone that the stage starts from, as in the table.
    """

    raw: Mapping[str, Any]
    parent: PlannedRun | None = None

    def lookup(self, name: str) -> Any:
        """Return the value of a quantity or of a config key; UserError if it is unknown."""
        if self.parent is not None and name in (*COUNT_COLUMNS, *COLUMNS):
            step = self.raw["parent"]["step"] or self.parent.quantities.steps
            return self.parent.columns_at(self.parent.at(step)).get(name, 0)  # N_frozen is no column where it is 0
        if name in COUNT_COLUMNS:
            return getattr(count_model(self.config), name)
        if name in COLUMNS:
            return getattr(self.quantities, name)
        path = SHORT.get(name, name)
        if path == "model.family":
            return self.config.model.family
        try:
            value = value_at(self.raw, path)
        except LookupError:
            raise UserError(self._unknown(name, path)) from None
        if value is None:
            raise UserError(f"found {name} in an expression of the sweep, but {path} is null here; give it a value")
        if isinstance(value, Mapping):
            keys = [*(["family"] if name == "model" else []), *(f"{name}.{key}" for key in value if key != "_target_")]
            raise UserError(
                f"found {name} in an expression of the sweep, which has keys of its own; wanted one of "
                f"{', '.join(keys)}; change it"
            )
        return as_read(self.raw, path, value) if isinstance(value, str) else value

    def _unknown(self, name: str, path: str) -> str:
        """Return the error about a name of an expression that stands for nothing in this config."""
        if name in SHORT:
            group = path.partition(".")[0]
            member = getattr(self.config, group)
            return (
                f"found {name} in an expression of the sweep, but {group}={shown_name(group, member)} has no {path}; "
                f"wanted members that have it; give the others a block each, or take {name} out"
            )
        hint = suggestion(name, [*SHORT, *COUNT_COLUMNS, *COLUMNS])
        return f"found {name} in an expression of the sweep, no quantity and no config key; {hint}"

    @cached_property
    def config(self) -> RunConfig:
        """The checked config."""
        return read_config(self.raw)

    @cached_property
    def quantities(self) -> Quantities:
        """The run's steps, examples and FLOPs."""
        config = self.config if self.parent is None else with_parent(self.config, self.parent)
        return config.stage.quantities(config, self.parent)


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
