"""From overrides to a plan: the configs that Hydra composes, crossed with the grid of the sweep.

Hydra composes once for each choice of groups; the values of all other keys are put into the result, which is some
hundred times faster than composing every cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString

from scaling.compose.groups import PLAN_KEYS, Composer, GroupConfigs, run_keys
from scaling.compose.session import said_in_one_sentence
from scaling.errors import UserError
from scaling.plan.cell import KEYS, Parents, Rules, plan_cell, read_rules
from scaling.plan.graph import Graph, add_stages, read_stages, run_lookup
from scaling.plan.grid import Block, Cell, read_grid
from scaling.plan.limits import Limits
from scaling.plan.plan import Dropped, Plan
from scaling.plan.planned import PlannedRun

SHARED_FOLDERS = ("runs", "features")  # of all sweeps of the same results
SHARED = ("train.device", "train.checkpoint_seconds")  # given on the command line, for the runs of stages as well


@dataclass(frozen=True)
class Request:
    """The overrides of a command line: which sweep, which keys are fixed, which are swept over."""

    sweep: str | None
    fixed: Mapping[str, Override]
    axes: Mapping[str, tuple[Any, ...]]


def expand(loader: ConfigLoader, arguments: Sequence[str]) -> Plan:
    """Expand overrides (with sweep=NAME or without) into a plan; reads nothing but configs."""
    request = read_request(loader, arguments)
    fixed = [override.input_line or "" for override in request.fixed.values()]
    composer = Composer(loader)
    cfg = composer.whole(fixed)
    graph = _graph(loader, composer, request, cfg, fixed)
    single = request.sweep is None and not request.axes
    return Plan(
        name=_checked_name(str(cfg["name"] or request.sweep or ("single" if single else "adhoc"))),
        results=Path(str(cfg["results"])),
        launcher=cfg["launcher"],
        limit=_limit(cfg["sweep"].get("limit") or {}),
        runs=tuple(graph.runs.values()),
        dropped=tuple(graph.dropped),
        duplicates=graph.duplicates,
        sweep=request.sweep,
        arguments=tuple(arguments),
        single=single,
    )


def _rules(sweep: Any, request: Request) -> Rules:
    """Read the rules of what a config says below `sweep:`; UserError where it is wrong, or a sweep has no grid."""
    if not isinstance(sweep, Mapping):
        raise UserError(f"found sweep: {sweep!r} in a config; wanted {', '.join(KEYS)} below it; change it")
    rules = read_rules(sweep, without=frozenset([*request.fixed, *request.axes]))
    if request.sweep is not None and sweep.get("grid") is None:
        raise UserError(f"found sweep={request.sweep} without a sweep.grid; wanted a list of blocks; add one")
    return rules


def _graph(
    loader: ConfigLoader, composer: Composer, request: Request, cfg: Mapping[str, Any], fixed: Sequence[str]
) -> Graph:
    """Plan the runs of the grid and of the stages; UserError where no cell can be run."""
    sweep, is_group = cfg["sweep"], _group_test(loader)
    rules = _rules(sweep, request)
    blocks = read_grid(sweep["grid"]) if sweep.get("grid") is not None else [Block("product", {})]
    configs = GroupConfigs(composer, fixed, run_keys(cfg))
    parents = _parents(request, Path(str(cfg["results"])))
    graph = _plan_cells(apply_overrides(blocks, request), configs, is_group, rules, parents)
    if not graph.runs:
        reason = graph.dropped[0].reason if graph.dropped else "the grid has no cells"
        raise UserError(reason if len(graph.dropped) == 1 else f"found no cell of the grid that can be run: {reason}")
    shared = [override.input_line or "" for key, override in request.fixed.items() if key in SHARED]
    return add_stages(graph, read_stages(sweep.get("stages") or []), GroupConfigs(composer, shared), is_group)


def read_request(loader: ConfigLoader, arguments: Sequence[str]) -> Request:
    """Parse overrides by Hydra's grammar and sort them; UserError for what cannot be swept over."""
    with said_in_one_sentence():
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
        _check_members(loader, overrides)
    fixed: dict[str, Override] = {}
    axes: dict[str, tuple[Any, ...]] = {}
    for override in overrides:
        key = override.get_key_element()
        if key == "hydra/launcher":
            raise UserError(
                "found hydra/launcher, Hydra's own launchers, which wait for every run; "
                "wanted launcher=local or launcher=slurm; change it"
            )
        if not override.is_sweep_override():
            fixed[key] = override
        elif key.split(".")[0] in PLAN_KEYS:
            raise UserError(f"found several values for {key}; wanted one, for the whole plan; run one after another")
        elif not override.is_discrete_sweep():
            raise UserError(f"found {override.input_line}; wanted a list or a range of values; write it as a,b,c")
        else:
            axes[key] = tuple(_unquoted(value) for value in override.sweep_iterator())
    sweep = fixed["sweep"].value() if "sweep" in fixed else None
    if isinstance(sweep, list | dict):
        raise UserError(f"found {fixed['sweep'].input_line}; wanted the name of one sweep, such as sweep=quickstart")
    return Request(None if sweep is None else str(sweep), fixed, axes)


def _unquoted(value: Any) -> Any:
    """Return a value of a sweep as Override.value() gives that of a single override: quoted strings as strings."""
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(item) for key, item in value.items()}
    return value.text if isinstance(value, QuotedString) else value


def _check_members(loader: ConfigLoader, overrides: Sequence[Override]) -> None:
    """Raise UserError for null as the member of a group, for which Hydra has no message."""
    for override in overrides:
        empty = not override.is_sweep_override() and not override.is_delete() and override.value() is None
        members = loader.get_group_options(override.get_key_element()) if empty else []
        if members:
            group = override.get_key_element()
            raise UserError(f"found {group}=null; wanted the name of one; give {group}={members[0]}, or leave it out")


def apply_overrides(blocks: Sequence[Block], request: Request) -> list[Block]:
    """Let each override on the command line replace that key's axis in every block."""
    fixed = {key: (override.value(),) for key, override in request.fixed.items()}
    for key, values in [*fixed.items(), *request.axes.items()]:
        replaced = []
        for block in blocks:
            stands = key in block.axes or any(key in item for item in block.items)
            replaced += block.replace(key, values) if stands or key in request.axes else [block]
        blocks = replaced
    return list(blocks)


def _plan_cells(
    blocks: Sequence[Block],
    configs: GroupConfigs,
    is_group: Callable[[str], bool],
    rules: Rules,
    parents: Parents,
) -> Graph:
    graph = Graph({})
    for cell in _cells(blocks):
        chosen = tuple((key, value) for key, value in cell.items() if is_group(key))
        values = {key: value for key, value in cell.items() if not is_group(key)}
        outcome = plan_cell(configs(chosen), values, rules, parents)
        if isinstance(outcome, Dropped):
            graph.dropped.append(Dropped(cell, outcome.reason))
        elif outcome.run_id in graph.runs:
            graph.duplicates += 1
        else:
            graph.runs[outcome.run_id] = outcome.with_overrides(cell)
    return graph


def _parents(request: Request, results: Path) -> Parents:
    """Return how runs of the command line or of a grid find their parents: by parent.run_id, on disk."""
    find = run_lookup(results)
    given = {key: override.value() for key, override in request.fixed.items() if key.startswith("data.")}
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


def _group_test(loader: ConfigLoader) -> Callable[[str], bool]:
    known: dict[str, bool] = {}

    def is_group(key: str) -> bool:
        if key not in known:
            known[key] = "." not in key and bool(loader.get_group_options(key))
        return known[key]

    return is_group


def _checked_name(name: str) -> str:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or parts[0] in SHARED_FOLDERS:
        raise UserError(f"found name={name}; wanted a folder of the sweep's own inside results; choose another name")
    return name


def _limit(raw: Any) -> Limits:
    if not isinstance(raw, Mapping):
        raise UserError(f"found sweep.limit={raw!r}; wanted gpu_hours or flops below it; change it")
    unknown = set(raw) - {"gpu_hours", "flops"}
    if unknown:
        raise UserError(f"found sweep.limit.{min(unknown)}; wanted gpu_hours or flops; change it")
    for key, value in raw.items():
        if value is not None and not (isinstance(value, int | float) and value is not True and value > 0):
            raise UserError(f"found sweep.limit.{key}={value!r}; wanted a positive number; change it")
    return Limits(gpu_hours=raw.get("gpu_hours"), flops=raw.get("flops"))
