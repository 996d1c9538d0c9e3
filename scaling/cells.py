"""From one cell of a grid to one planned run: set the keys, compute the rules, keep or drop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from scaling.arithmetic import ImpossibleRun, Quantities, count_model, settle
from scaling.config import RunConfig, read_config
from scaling.errors import UserError
from scaling.expressions import Expression, parse
from scaling.plan import Dropped, PlannedRun, plan_run

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
KEYS = ("grid", "stages", "set", "where", "limit")  # of `sweep:`
COUNTED = ("N", "N_total", "N_body", "N_nonhead")
SETTLED = ("D", "D_unique", "C", "C_counted", "steps", "epochs")


@dataclass(frozen=True)
class Rules:
    """What a sweep computes for each cell: keys by expression (in order), and which cells stay."""

    set: Mapping[str, Expression] = field(default_factory=dict)
    where: Expression | None = None


def read_rules(sweep: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> Rules:
    """Read `set:` and `where:`; a key given on the command line (`without`) is not computed."""
    unknown = sorted(set(sweep) - set(KEYS))
    if unknown:
        raise UserError(f"found the unknown key sweep.{unknown[0]}; wanted {', '.join(KEYS)}; change it")
    expressions = {key: parse(text, where=f"set {key}") for key, text in (sweep.get("set") or {}).items()}
    where = sweep.get("where")
    return Rules(
        set={key: expression for key, expression in expressions.items() if key not in without},
        where=None if where is None else parse(where, where="where"),
    )


def settle_cell(base: Mapping[str, Any], values: Mapping[str, Any], rules: Rules) -> PlannedRun | Dropped:
    """Turn a cell into a planned run, or say why it is dropped; UserError where the sweep itself is wrong."""
    raw = base
    for key, value in values.items():
        raw = assign(raw, key, value)
    try:
        for key, expression in rules.set.items():
            raw = assign(raw, key, expression.evaluate(Names(raw).lookup))
        names = Names(raw)
        if rules.where is not None:
            failed = rules.where.first_false(names.lookup)
            if failed is not None:
                found = ", ".join(f"{name} = {_show(names.lookup(name))}" for name in failed.names())
                return Dropped(values, f"where: {failed.text} ({found})")
        lr_rule = rules.set["optim.lr"].text if "optim.lr" in rules.set else ""
        return plan_run(names.config, overrides=values, lr_rule=lr_rule, quantities=names.settled)
    except ImpossibleRun as error:
        return Dropped(values, str(error))


def assign(raw: Mapping[str, Any], key: str, value: Any, *, inside: str = "") -> dict[str, Any]:
    """Return the config with one key changed; UserError where there is no such key (`inside`: the groups above)."""
    head, _, rest = key.partition(".")
    if head not in raw:
        known = [f"{inside}{name}" for name in raw if name != "_target_"]
        close = get_close_matches(f"{inside}{head}", known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"wanted one of {', '.join(known)}"
        raise UserError(f"found the unknown key {inside}{key} in the sweep; {hint}")
    if not rest:
        return {**raw, head: value}
    if not isinstance(raw[head], Mapping):
        raise UserError(f"found the key {inside}{key} in the sweep, but {inside}{head} is a value; change the key")
    return {**raw, head: assign(raw[head], rest, value, inside=f"{inside}{head}.")}


@dataclass(frozen=True)
class Names:
    """The quantities an expression may name, computed from a config no further than asked."""

    raw: Mapping[str, Any]

    def lookup(self, name: str) -> Any:
        """Return the value of a quantity or of a config key; UserError where it is unknown."""
        if name in COUNTED:
            return getattr(count_model(self.config), name)
        if name in SETTLED:
            return getattr(self.settled, name)
        value: Any = self.raw
        path = SHORT.get(name, name)
        if path == "model.family":
            return self.config.model.family
        for step in path.split("."):
            if not isinstance(value, Mapping) or step not in value:
                known = [*SHORT, *COUNTED, *SETTLED]
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"wanted a config key or one of {', '.join(known)}"
                raise UserError(f"found the unknown name {name} in an expression of the sweep; {hint}")
            value = value[step]
        if value is None:
            raise UserError(f"found {name} in an expression of the sweep, but {path} is null here; give it a value")
        return value

    @cached_property
    def config(self) -> RunConfig:
        """The config, checked."""
        return read_config(self.raw)

    @cached_property
    def settled(self) -> Quantities:
        """The run's steps, examples and FLOPs."""
        return settle(self.config)


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
