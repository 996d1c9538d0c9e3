"""The graph of a sweep: the runs of its stages are planned for every run that they start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import Any

import yaml

from scaling.compose.groups import GroupConfigs
from scaling.config import Keep, read_stored_config
from scaling.errors import UserError, check_keys
from scaling.folders import RunFolder, exists
from scaling.plan.cell import Parents, Rules, check_axes, plan_cell, read_rules
from scaling.plan.grid import Block, Cell, read_grid
from scaling.plan.plan import Dropped
from scaling.plan.planned import PlannedRun, plan_run
from scaling.security.reading import read_text

KEYS = ("name", "of", "at", "base", "grid", "where", "set")
FIRST = "train"  # the name of the grid's runs in `of:`
AT = ("last", "milestones")
KEPT: tuple[Keep, ...] = ("none", "last", "milestones")  # which weights a run keeps, from fewest to most


@dataclass(frozen=True)
class StageEntry:
    """One entry of `sweep.stages`.

    of, at: the runs and milestones that it starts from; base, blocks, rules: the keys, grid and rules of its runs.
    """

    name: str
    of: str
    at: Keep
    base: Mapping[str, Any]
    blocks: Sequence[Block]
    rules: Rules


@dataclass
class Graph:
    """The runs of a plan by id, parents before children, and the cells that are not run.

    duplicates: number of cells that gave a run already in the plan; alike: keys whose values differ in such cells.
    """

    runs: dict[str, PlannedRun]
    dropped: list[Dropped] = field(default_factory=list)
    duplicates: int = 0
    alike: set[str] = field(default_factory=set)


def read_stages(raw: Any) -> list[StageEntry]:
    """Read `sweep.stages`; UserError says what is wrong."""
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise UserError(f"found sweep.stages={raw!r}; wanted a list of stages; change it")
    found: dict[str, StageEntry] = {}
    for item in raw:
        entry = _read_entry(item)
        if entry.name in found or entry.name == FIRST:
            raise UserError(f"found two stages called {entry.name}; wanted names that differ; change one")
        if entry.of not in (FIRST, *found):
            known = ", ".join([FIRST, *found])
            raise UserError(
                f"found stage {entry.name} of {entry.of!r}; wanted one that comes before it ({known}); change of:"
            )
        found[entry.name] = entry
    return list(found.values())


def _read_entry(raw: Any) -> StageEntry:
    if not isinstance(raw, Mapping):
        raise UserError(f"found the stage {raw!r}; wanted {{name, base: {{stage: …}}, …}}; change sweep.stages")
    check_keys(raw, KEYS, under="sweep.stages.")
    base: Any = raw.get("base") or {}
    at: Any = raw.get("at") or "last"
    name = str(raw.get("name") or base.get("stage") or "")
    if not isinstance(base, Mapping) or base.get("stage", FIRST) == FIRST:
        raise UserError(
            f"found stage {name or '?'} without base.stage; wanted the kind of stage; add stage: to its base"
        )
    if at not in AT:
        raise UserError(f"found at: {at!r} of stage {name}; wanted {' or '.join(AT)}; change it")
    blocks = read_grid(raw["grid"]) if raw.get("grid") is not None else [Block()]
    for key in (*base, *(key for block in blocks for cell in block.cells() for key in cell)):
        if key.split(".")[0] in ("model", "parent"):
            raise UserError(f"found {key} in stage {name}, whose model and parent are given by `of`; take it out")
    rules = read_rules({key: raw[key] for key in ("set", "where") if raw.get(key) is not None})
    check_axes(blocks, rules)
    return StageEntry(name, str(raw.get("of") or FIRST), at, base, blocks, rules)


def add_stages(graph: Graph, entries: Sequence[StageEntry], configs: GroupConfigs) -> Graph:
    """Add the runs of every stage to the graph, and let their parents keep the weights that they need."""
    by_stage: dict[str, list[str]] = {FIRST: list(graph.runs)}
    for entry in entries:
        found: list[PlannedRun] = []
        for parent in [graph.runs[run_id] for run_id in by_stage[entry.of]]:
            milestones = parent.quantities.milestones
            steps = milestones if entry.at == "milestones" else milestones[-1:]
            for step, cell in product(steps, chain.from_iterable(block.cells() for block in entry.blocks)):
                outcome = _plan_stage(entry, parent, step, cell, configs)
                if isinstance(outcome, Dropped):
                    graph.dropped.append(outcome)
                    continue
                found.append(outcome)
                graph.duplicates += outcome.run_id in graph.runs
                graph.runs.setdefault(outcome.run_id, outcome)
            graph.runs[parent.run_id] = keep_at_least(graph.runs[parent.run_id], entry.at)
        by_stage[entry.name] = list(dict.fromkeys(run.run_id for run in found))
    return graph


def _plan_stage(
    entry: StageEntry, parent: PlannedRun, step: int, cell: Cell, configs: GroupConfigs
) -> PlannedRun | Dropped:
    """Plan the run of a stage that starts from a step of its parent, with the keys of a cell."""
    keys = {**entry.base, **cell}
    config, values = configs.of_cell(keys)
    own = {f"{entry.name}.{key}" if key in parent.overrides else key: value for key, value in cell.items()}
    shown = {**parent.overrides, "stage": entry.name, "parent.step": step, **own}
    parents = Parents(find=lambda _: parent, own_data="data" in keys)
    outcome = plan_cell(config, {**values, "parent.step": step}, entry.rules, parents)
    if isinstance(outcome, Dropped):
        return Dropped(shown, outcome.reason)
    return dataclasses.replace(outcome, overrides=shown, task=f"{entry.name}:{outcome.config.data.name}")


def keep_at_least(run: PlannedRun, what: Keep, *, filters: bool = False) -> PlannedRun:
    """Return the run, set to keep its weights at least at these milestones, and its first layer if filters."""
    asked = run.config.train
    train = dataclasses.replace(asked, keep=max(asked.keep, what, key=KEPT.index), filters=asked.filters or filters)
    return run if train == asked else dataclasses.replace(run, config=dataclasses.replace(run.config, train=train))


def run_lookup(results: Path) -> Callable[[str], PlannedRun]:
    """Return a lookup of earlier runs by id, which reads each run and its parents from the configs in their folders."""

    @cache
    def find(run_id: str) -> PlannedRun:
        files = RunFolder(results / "runs" / run_id)
        if not exists(files.config):
            raise UserError(
                f"found no run {run_id} in {results / 'runs'}; wanted the run that the stage starts from; "
                f"check parent.run_id, or give results=DIR"
            )
        config = read_stored_config(yaml.safe_load(read_text(files.config)))
        parent = find(config.parent.run_id) if config.parent is not None else None
        run = plan_run(config, overrides={}, parent=parent)
        if run.run_id != run_id:
            raise UserError(
                f"found that run {run_id} reads back as {run.run_id}: its config is of another version of the code; "
                f"wanted one of this version; train it again"
            )
        return run

    return find


def check_parents(runs: Sequence[PlannedRun], results: Path) -> None:
    """Check that parents outside the plan have kept their weights; UserError says which are missing."""
    planned = {run.run_id for run in runs}
    for run in runs:
        parent = run.config.parent
        if parent is None or parent.run_id in planned or parent.step is None:
            continue
        if not exists(RunFolder(results / "runs" / parent.run_id).kept_weights(parent.step)):
            raise UserError(
                f"found no weights of run {parent.run_id} at step {parent.step} in {results / 'runs'}; wanted them "
                f"kept; run its command again with train.keep=milestones"
            )
