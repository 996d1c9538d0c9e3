"""The overrides of a command line, which take precedence over the sweep file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString, RangeSweep

from scaling.compose.groups import leaves, quoted
from scaling.compose.interpolation import PLAN_KEYS, Composed
from scaling.compose.keys import value_at
from scaling.compose.roots import sweep_name
from scaling.compose.session import check_hydras, one_sentence_errors
from scaling.errors import UserError
from scaling.internals.hydra import group_options
from scaling.plan.cell import Rules, check_axes
from scaling.plan.grid import Block, check_count, without_rounding

SWEEP = "sweep"
ONLY_QUOTED = re.compile(r"[^A-Za-z0-9_/\\+.$%*@?|:,\s-]")  # characters outside Hydra's grammar of plain values
RUN_IDS = re.compile(r"\+*parent\.run_id=[0-9a-f,]+")  # some ids have only digits, or read as a number like 12e34
RULE = re.compile(r"(?P<sign>[+~]*)sweep\.set\.(?P<key>\w+(?:\.\w+)+)")
SURROGATE = re.compile(r"[\ud800-\udfff]")  # what stands for a byte that is not UTF-8
ON_END = "on_end"  # a text with commas and quotes of its own
WHOLLY_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
STRUCTURE = re.compile(r"['\"(){}\[\]]")  # of lists, dictionaries, functions and quotes
NAMES = (SWEEP, "name", "results")  # of files and folders


@dataclass(frozen=True)
class Request:
    """The overrides of a command line, with or without a prefix (+, ++, ~).

    lines: those with one value, as given; fixed: the keys that they set (dictionaries key by key) and the members of
    groups that they choose; merged: the keys that they set to dictionaries; dropped: the keys that they remove (~key);
    axes: the keys that are swept over.
    """

    sweep: str | None
    lines: tuple[str, ...]
    fixed: Mapping[str, Any]
    merged: frozenset[str]
    dropped: tuple[str, ...]
    axes: Mapping[str, tuple[Any, ...]]

    def of_run(self, *, without: Sequence[str]) -> dict[str, Any]:
        """Return the fixed keys of a run, without those of the plan."""
        return {
            key: value
            for key, value in self.fixed.items()
            if key not in without and key.split(".")[0].split("/")[0] not in PLAN_KEYS
        }


def read_request(loader: ConfigLoader, arguments: Sequence[str]) -> Request:
    """Parse overrides by Hydra's grammar; UserError for sweeps over other keys than a run's.

    Of two overrides of a key the later one counts; of two sweeps none does (UserError).
    """
    check_hydras(arguments)
    _check_text(arguments)
    with one_sentence_errors():
        parser = OverridesParser.create(config_loader=loader)
        typed = parser.parse_overrides(list(map(_with_quotes, arguments)))
        overrides = parser.parse_overrides([_as_typed(loader, override) for override in typed])
        _check_members(loader, overrides)
        _check_one_sweep(overrides)
    lines: list[str] = []
    fixed: dict[str, Any] = {}
    axes: dict[str, tuple[Any, ...]] = {}
    dropped: list[str] = []
    merged: set[str] = set()
    for override in overrides:
        key = override.key_or_group
        if override.is_sweep_override():
            axes[key] = _values(override)
            fixed = {name: value for name, value in fixed.items() if name != key}
            continue
        lines.append(override.input_line or "")
        if override.is_delete():
            dropped.append(key)
            continue
        if override.package is not None:
            continue  # a group with a package is checked together with the config
        if isinstance(override.value(), dict):
            merged.add(key)
        given = dict(leaves(key, override.value()))
        fixed |= given
        axes = {name: values for name, values in axes.items() if name not in given}
    return Request(_sweep_name(fixed), tuple(lines), fixed, frozenset(merged), tuple(dropped), axes)


def _check_text(arguments: Sequence[str]) -> None:
    """Raise UserError for an argument that sweep.yaml cannot hold: it keeps the command as a comment of one line."""
    for argument in arguments:
        if SURROGATE.search(argument):
            raise UserError(
                f"found {argument!r}, which is not UTF-8 text; wanted UTF-8; rename it, or set LC_ALL=C.UTF-8"
            )
        if "".join(argument.splitlines()) != argument:
            raise UserError(
                f"found {argument!r}, an argument of several lines; wanted one line; put the text into a script, or "
                f"into a sweep file"
            )


def _check_one_sweep(overrides: Sequence[Override]) -> None:
    values = [override.value() for override in overrides if override.key_or_group == SWEEP]
    names = [value for value in values if isinstance(value, str)]  # sweep={where: …} beside it sets keys of it
    if "." in names:  # what `sweep=` becomes as a path
        raise UserError("found sweep= without a name; wanted that of a sweep, such as sweep=quickstart, or none at all")
    if len(set(names)) > 1:
        raise UserError(
            f"found {' and '.join(f'{SWEEP}={name}' for name in names)}; wanted one sweep in a command; run one after "
            f"another"
        )


def _with_quotes(argument: str) -> str:
    """Quote values that Hydra reads as text only in quotes: run ids, and those with characters such as umlauts or >.

    A rule's own key has dots, which Hydra would take for levels: sweep.set.optim.lr=1e-3 becomes {optim.lr: '1e-3'}.
    """
    key, sign, value = argument.partition("=")
    if rule := RULE.fullmatch(key):
        if not sign or rule["sign"] == "~":
            raise UserError(
                f"found {argument}, which takes out one rule; wanted {rule['key']}=VALUE in its place, or ~sweep.set "
                f"to take out all; change it"
            )
        return f"++sweep.set={{{rule['key']}: {value if WHOLLY_QUOTED.fullmatch(value) else quoted(value)}}}"
    if RUN_IDS.fullmatch(argument):
        return f"{key}={','.join(map(quoted, value.split(',')))}"
    if not sign or not ONLY_QUOTED.search(value) or WHOLLY_QUOTED.fullmatch(value):
        return argument
    if key.lstrip("+") == ON_END:
        return f"{key}={quoted(value)}"
    if STRUCTURE.search(value):
        return argument
    return f"{key}={','.join(map(quoted, value.split(',')))}"


def _as_typed(loader: ConfigLoader, override: Override) -> str:
    """Return the line of an override, with names quoted as typed, so that 1e3 stays a name."""
    line, key = override.input_line or "", override.key_or_group
    if override.is_sweep_override() or override.is_delete():
        return line
    value = override.value()
    if key == SWEEP and isinstance(value, str):
        name = sweep_name(value)
    elif isinstance(value, bool | int | float) and (key in NAMES or group_options(loader, key)):
        name = override.get_value_string()
    else:
        return line
    return f"{override.get_key_element()}={quoted(name)}"


def _sweep_name(fixed: Mapping[str, Any]) -> str | None:
    found = fixed.get(SWEEP)
    if isinstance(found, list):
        raise UserError(f"found sweep={found}; wanted the name of one sweep, such as sweep=quickstart")
    return None if found is None else str(found)


def _values(override: Override) -> tuple[Any, ...]:
    """Return the values of an override that has several; UserError if they cannot be swept over."""
    key, line = override.key_or_group, override.input_line
    if key.split(".")[0] in PLAN_KEYS:
        raise UserError(f"found several values for {key}; wanted one, for the whole plan; run one after another")
    if override.is_delete() or override.package is not None:
        raise UserError(f"found {line}, several values of what is no key of a run; wanted one; change it")
    if not override.is_discrete_sweep():
        raise UserError(f"found {line}; wanted a list or a range of values; write it as a,b,c")
    swept = override.value()
    if isinstance(swept, RangeSweep):
        _check_range(swept, key, line)
    values = tuple(_unquoted(value) for value in override.sweep_iterator())
    if not values:
        raise UserError(f"found {line}, which has no values; wanted at least one; change it")
    return values


def _check_range(swept: RangeSweep, key: str, line: str | None) -> None:
    """Raise UserError for a range without end, or of too many values, before it is made."""
    count = ((swept.stop or 0) - (swept.start or 0)) / swept.step if swept.step else inf
    if not isfinite(count):
        raise UserError(f"found {line}, which has no end; wanted numbers, and a step other than 0; change it")
    check_count(count, key)


def _unquoted(value: Any) -> Any:
    """Return a value of a sweep in the form of Override.value(), with quoted strings as strings.

    Numbers of a range have no rounding errors of its steps.
    """
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(item) for key, item in value.items()}
    if isinstance(value, float):
        return without_rounding(value)
    return value.text if isinstance(value, QuotedString) else value


def _check_members(loader: ConfigLoader, overrides: Sequence[Override]) -> None:
    """Raise UserError for null or a number as the member of a group, for which Hydra has no message."""
    for override in overrides:
        group = override.key_or_group
        if override.is_sweep_override() or override.is_delete() or isinstance(override.value(), str | list | dict):
            continue
        members = group_options(loader, group)
        if members:
            found = "null" if override.value() is None else override.value()
            raise UserError(
                f"found {group}={found}; wanted the name of one; give {group}={members[0]}, or leave it out"
            )


def with_overrides(
    request: Request, blocks: Sequence[Block], rules: Rules, config: Composed, is_group: Callable[[str], bool]
) -> list[Block]:
    """Return the blocks of the file with their values replaced by the command line's.

    rules: those that remain to be computed. UserError for conflicting values of keys of which one contains the other.
    """
    in_file = list(dict.fromkeys(key for block in blocks for key in block.keys()))  # noqa: SIM118 - no dictionary
    new = {key: (request.fixed[key],) for key in in_file if key in request.fixed}
    new |= {key: (value_at(config.run, key),) for key in in_file if key in request.merged and not is_group(key)}
    _check_clashes(request, [key for key in in_file if key not in new], rules, is_group)
    for key, values in {**new, **request.axes}.items():
        given = key in request.axes
        blocks = [block.with_values(key, values) if given or key in block else block for block in blocks]
    check_axes(blocks, rules)
    return list(blocks)


def _check_clashes(request: Request, in_file: Sequence[str], rules: Rules, is_group: Callable[[str], bool]) -> None:
    """Raise UserError if one of two values would silently override the other."""
    axes = [key for key in request.axes if not is_group(key)]
    own = [key for key in in_file if not is_group(key) and key not in axes]
    for key in (key for key in request.fixed if not is_group(key)):
        _refuse(key, [other for other in (*own, *axes, *rules.set) if overlap(key, other)])
    for key in axes:
        _refuse(key, [other for other in own if inside(other, key)])
        _refuse(key, [other for other in (*axes, *rules.set) if other != key and overlap(key, other)])
    for key in request.dropped:
        _refuse(f"~{key}", [other for other in (*in_file, *request.axes, *rules.set) if overlap(key, other)])


def _refuse(mine: str, others: Sequence[str]) -> None:
    if others:
        raise UserError(
            f"found {mine} on the command line beside {others[0]}, which the sweep varies or computes; "
            f"wanted one of the two; give {others[0]}, or change the sweep"
        )


def inside(key: str, other: str) -> bool:
    """Return whether a key is below another."""
    return key.startswith(f"{other}.")


def overlap(key: str, other: str) -> bool:
    """Return whether two keys are equal, or one is below the other."""
    return key == other or inside(key, other) or inside(other, key)
