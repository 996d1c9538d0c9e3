"""Expand overrides into a plan: configs composed by Hydra, crossed with the grid of the sweep.

Hydra composes once for each choice of groups; all other keys are set in the result, which is about a hundred times
faster than composing every cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader

from scaling.compose.groups import Composer, GroupConfigs
from scaling.compose.interpolation import PLAN_KEYS, Composed, named_in
from scaling.compose.shadows import check_config
from scaling.config import GROUPS, RUN_KEYS, Mirror, read_group, read_part
from scaling.errors import UserError, check_keys
from scaling.folders import SHARED_FOLDERS
from scaling.limits import Limits
from scaling.plan.cell import KEYS, Parents, Rules, plan_cell, read_rules
from scaling.plan.graph import Graph, add_stages, keep_at_least, read_stages, run_lookup
from scaling.plan.grid import Block, Cell, check_cells, read_grid
from scaling.plan.plan import Dropped, Plan
from scaling.plan.planned import PlannedRun
from scaling.plan.request import Request, overlap, read_request, with_overrides
from scaling.plan.trunk import share_trunks

SHELLS = re.compile(r"(^|/)\$(?P<name>[A-Za-z_]\w*)")  # variables of the shell, as single quotes keep them
NEEDED = ("results", "launcher", "stage", "parent")  # keys that ~KEY on the command line cannot remove
# Keys of the command line that also apply to the runs of stages.
FOR_STAGES_TOO = ("train.device", "train.checkpoint_seconds", "recipe_version")


def expand(loader: ConfigLoader, arguments: Sequence[str]) -> Plan:
    """Expand overrides (with sweep=NAME or without) into a plan; reads nothing but configs."""
    request = read_request(loader, arguments)
    composer = Composer(loader)
    config = composer(request.lines)
    check_config(config.written)
    if lost := next((key for key in NEEDED if key not in config.written), None):
        raise UserError(f"found no {lost} in the config; wanted it; drop ~{lost}")
    check_keys(config.written, (*RUN_KEYS, *PLAN_KEYS))
    _check_no_clock(config.written)
    _check_no_clock(dict(argument.lstrip("+").partition("=")[::2] for argument in arguments))
    results = _results(config.of_plan("results"))
    sweep = _sweep(config, request)
    graph = _graph(composer, request, config, sweep, results)
    single = request.sweep is None and not request.axes
    if single:
        overrides = request.of_run(without=FOR_STAGES_TOO)
        graph.runs = {
            run_id: run if run.overrides else replace(run, overrides=overrides) for run_id, run in graph.runs.items()
        }
    return Plan(
        name=_checked_name(
            config.of_plan("name") or request.sweep or ("single" if single else "adhoc"), sweep=request.sweep
        ),
        results=results,
        launcher=read_group("launcher", config.of_plan("launcher")),
        group=_read_key(config, "group", bool, default=False),
        limit=_limit(sweep.get("limit") or {}),
        runs=tuple(graph.runs.values()),
        dropped=tuple(graph.dropped),
        duplicates=graph.duplicates,
        alike=tuple(sorted(graph.alike)),
        sweep=request.sweep,
        arguments=tuple(arguments),
        single=single,
        mirror=_read_key(config, "mirror", Mirror | None) or "",
        on_end=_read_key(config, "on_end", str | None) or "",
    )


def _results(value: Any) -> Path:
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
        raise UserError(f"found results={value!r}; wanted a folder; change it")
    _check_one_line("results", str(value))
    _check_no_variable("results", str(value))
    return Path(str(value)).expanduser()


def _read_key(config: Composed, key: str, kind: Any, default: Any = None) -> Any:
    """Return a checked key of the plan as a whole; a user's own config of an older version may lack it."""
    return read_part(kind, config.of_plan(key) if key in config.written else default, where=key)


def _sweep(config: Composed, request: Request) -> Mapping[str, Any]:
    """Return the section `sweep:` of a config; UserError if it is not a mapping, or a sweep has no grid."""
    sweep = config.sweep()
    if not isinstance(sweep, Mapping):
        raise UserError(f"found sweep: {sweep!r} in a config; wanted {', '.join(KEYS)} below it; change it")
    if request.sweep is not None and set(sweep) <= set(KEYS) and sweep.get("grid") is None:
        raise UserError(f"found sweep={request.sweep} without a sweep.grid; wanted a list of blocks; add one")
    return sweep


def _graph(composer: Composer, request: Request, config: Composed, sweep: Mapping[str, Any], results: Path) -> Graph:
    """Plan the runs of the grid and of the stages; UserError if no cell can be run."""
    rules = read_rules(sweep, without=frozenset([*request.fixed, *request.axes]))
    given = read_grid(sweep["grid"]) if sweep.get("grid") is not None else [Block()]
    blocks = with_overrides(request, given, rules, config, composer.is_group)
    check_cells(blocks)
    _check_one_plan(config, blocks, rules)
    configs = GroupConfigs(composer, request.lines, config)
    graph = _plan_cells(blocks, configs, rules, _parents(request, results))
    if not graph.runs:
        reason = graph.dropped[0].reason if graph.dropped else "the grid has no cells"
        raise UserError(reason if len(graph.dropped) == 1 else f"found no cell of the grid that can be run: {reason}")
    if read_part(bool, sweep.get("trunk", False), where="sweep.trunk"):
        graph.runs = share_trunks(graph.runs)
    shared = [f"{key}={request.fixed[key]}" for key in FOR_STAGES_TOO if key in request.fixed]
    return add_stages(graph, read_stages(sweep.get("stages") or []), GroupConfigs(composer, shared))


def _check_one_plan(config: Composed, blocks: Sequence[Block], rules: Rules) -> None:
    """Raise UserError if a key of the whole plan refers to a key that differs between runs."""
    varied = {*(key for block in blocks for key in block.varied()), *rules.set}
    for key in PLAN_KEYS:
        value = config.written.get(key) if key != "sweep" else config.written["sweep"].get("limit")
        found = next((name for name in named_in(value) if any(overlap(name, other) for other in varied)), None)
        if found is not None and key != "hydra":
            raise UserError(
                f"found ${{{found}}} in {key}, which is of the whole plan, while {found} differs from run to run; "
                f"wanted one value; change {key}"
            )


def _check_no_clock(keys: Mapping[str, Any]) -> None:
    """Raise UserError if a run follows the clock: a plan would have other runs each time that it is made."""
    for key, value in keys.items():
        if (key not in PLAN_KEYS or key == "sweep") and "now" in named_in(value):
            raise UserError(
                f"found ${{now:…}} in {key}, which makes other runs each time; wanted a value; write it down"
            )


def _plan_cells(blocks: Sequence[Block], configs: GroupConfigs, rules: Rules, parents: Parents) -> Graph:
    graph = Graph({})
    for cell in _cells(blocks):
        config, values = configs.of_cell(cell)
        outcome = plan_cell(config, values, rules, parents)
        if isinstance(outcome, Dropped):
            graph.dropped.append(Dropped(cell, outcome.reason))
        elif outcome.run_id in graph.runs:
            before = graph.runs[outcome.run_id]
            _check_same(before, outcome)
            merged = _with_more_milestones(before, replace(outcome, overrides=cell))
            for each in (before, outcome):
                merged = keep_at_least(merged, each.config.train.keep, filters=each.config.train.filters)
            graph.runs[outcome.run_id] = merged
            graph.duplicates += 1
            graph.alike |= {key for key, value in cell.items() if before.overrides.get(key, value) != value}
        else:
            graph.runs[outcome.run_id] = replace(outcome, overrides=cell)
    return graph


def _with_more_milestones(run: PlannedRun, other: PlannedRun) -> PlannedRun:
    """Return the one of two equal runs that has the milestones of both; UserError if neither has."""
    mine, theirs = set(run.quantities.milestones), set(other.quantities.milestones)
    if theirs <= mine:
        return run
    if mine < theirs:
        return other
    raise UserError(
        f"found train.milestones={run.config.train.milestones} and {other.config.train.milestones} for one run; wanted "
        f"one list of all, since a run is trained once; write train.milestones: [[…, …]] in a grid"
    )


def _check_same(run: PlannedRun, other: PlannedRun) -> None:
    """Raise UserError if two cells of one id differ in a class, or in the type of a number that a module may see."""
    for group in GROUPS:
        kinds = {type(getattr(each.config, group)): "" for each in (run, other)}
        if len(kinds) > 1:
            names = " and ".join(kind.__qualname__ for kind in kinds)
            raise UserError(f"found {names} with one name, and so one run id; wanted a name for each; change one")
    for group in ("data", "stage"):
        roots = [getattr(getattr(each.config, group), "root", None) for each in (run, other)]
        if roots[0] != roots[1]:
            raise UserError(
                f"found {group}.root={roots[0]} and {roots[1]}, which have one run id: where files lie is no part of "
                f"it; wanted one of them; give other files other names"
            )
    one, two = (getattr(each.config.model, "kwargs", None) for each in (run, other))
    if one != two or _as_json(one) == _as_json(two):
        return
    raise UserError(
        f"found model.kwargs={one} and {two}, which have one run id: it takes 2 and 2.0 for one number; wanted one of "
        f"them; drop the other"
    )


def _as_json(kwargs: Any) -> str:
    return json.dumps(kwargs, sort_keys=True, default=str)


def _parents(request: Request, results: Path) -> Parents:
    """Return how runs of the command line or a grid find their parents on disk, by parent.run_id."""
    find = run_lookup(results)
    given = {key: value for key, value in request.fixed.items() if key.startswith("data.")}
    asked = (*request.fixed, *request.axes)

    def parent(run_id: str | None) -> PlannedRun | None:
        chosen = next((key for key in asked if key.split(".")[0] == "model"), None)
        if chosen is not None and run_id is not None:
            raise UserError(f"found {chosen} with parent.run_id={run_id}, whose model it is; wanted no model; drop it")
        return None if run_id is None else find(run_id)

    return Parents(parent, own_data="data" in asked, data=given)


def _cells(blocks: Sequence[Block]) -> Iterator[Cell]:
    for block in blocks:
        for cell in block.cells():
            forbidden = [key for key in cell if key.split(".")[0] in PLAN_KEYS]
            if forbidden:
                raise UserError(f"found {forbidden[0]} as an axis of the grid; wanted keys of one run; take it out")
            yield cell


def _check_one_line(key: str, text: str) -> None:
    """Raise UserError for control characters: jobs' batch scripts would run the second line of a path."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise UserError(f"found {key}={text!r}; wanted one line without control characters; change it")


def _checked_name(name: Any, *, sweep: str | None) -> str:
    """Return the name of a plan, by default its sweep's; UserError if it is no folder inside the results."""
    if not isinstance(name, str):
        raise UserError(f"found the name {name!r}; wanted text, and YAML took it for something else; put it in quotes")
    _check_one_line("name", name)
    _check_no_variable("name", name)
    parts = Path(name).parts
    if name == sweep and Path(name).is_absolute():
        raise UserError(
            f"found sweep={name}, which is not in ./sweeps; wanted a folder for its results; give name=NAME"
        )
    if not parts or Path(name).is_absolute() or ".." in parts or parts[0] in SHARED_FOLDERS:
        raise UserError(f"found name={name}; wanted a folder of the sweep's own inside results; choose another name")
    return name


def _limit(raw: Any) -> Limits:
    limits = read_part(Limits, raw, where="sweep.limit")
    for key, value in vars(limits).items():
        if value is not None and value <= 0:
            raise UserError(f"found sweep.limit.{key}={value:g}; wanted a positive number; change it")
    return limits


def _check_no_variable(key: str, path: str) -> None:
    """Raise UserError for a variable of the shell, which would become the name of a folder."""
    if found := SHELLS.search(path):
        name = found["name"]
        raise UserError(
            f"found {key}={path}, whose ${name} the shell has left as it is; wanted its value; write double quotes, or "
            f"${{oc.env:{name}}} in its place"
        )
