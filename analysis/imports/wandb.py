"""Folders of W&B runs: the config of each run, with its history, or its summary if there is no history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.errors import UserError
from analysis.imports.wandb_log import flat, rows_of_log
from analysis.table.files.read_file import one_line, read_file

SUMMARIES = ("wandb-summary.json", "summary.json")
CONFIGS = ("config.yaml", "config.json")
HISTORIES = ("wandb-history.jsonl", "history.jsonl", "history.json", "history.csv")
RUN = "wandb_run"
"""The column with the name of the run's folder."""
OWN = ("_wandb", "wandb_version")
"""Keys that W&B adds to a config."""
LARGEST = 100_000_000
"""Maximum number of bytes of a config or a summary."""


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of nested aliases could expand to fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node; `YAMLError` for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias (*name), which is not read here")
        found: yaml.Node | None = super().compose_node(parent, index)
        return found


@dataclass(frozen=True)
class WandbRun:
    """The files of one run, None for missing ones. log: the whole run in W&B's own format."""

    folder: Path
    config: Path | None = None
    summary: Path | None = None
    history: Path | None = None
    log: Path | None = None

    @property
    def name(self) -> str:
        """The run's id: the last part of its folder's name (offline-run-20260101_120000-a1b2c3d4)."""
        return self.folder.name.rpartition("-")[2] if "run-" in self.folder.name else self.folder.name

    @property
    def files(self) -> list[Path]:
        """The files that exist."""
        return [path for path in (self.config, self.summary, self.history, self.log) if path is not None]


def find_runs(folder: Path) -> list[WandbRun]:
    """Find the runs below a folder; `UserError` where there is none."""
    every = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    places = dict.fromkeys(path.parent for path in every if path.name in (*SUMMARIES, *HISTORIES))
    found = [_run_in(place) for place in places]
    known = {run.folder for run in found}
    found += [WandbRun(path.parent, log=path) for path in every if path.suffix == ".wandb" and path.parent not in known]
    if not found:
        raise UserError(
            f"found no W&B run in {folder}; wanted folders with a run's .wandb file, or with {SUMMARIES[0]} or "
            f"{HISTORIES[1]} and {CONFIGS[0]}"
        )
    return sorted(found, key=lambda run: run.folder)


def _run_in(place: Path) -> WandbRun:
    def first(names: tuple[str, ...]) -> Path | None:
        return next((place / name for name in names if (place / name).is_file()), None)

    folder = place.parent if place.name == "files" else place
    return WandbRun(folder, first(CONFIGS), first(SUMMARIES), first(HISTORIES))


def read_runs(runs: list[WandbRun]) -> pd.DataFrame:
    """Read runs into one table: a row for each line of a history (or one of the summary), with columns config.KEY."""
    return pd.DataFrame([row for run in runs for row in _rows(run)])


def _rows(run: WandbRun) -> Iterator[dict[str, Any]]:
    if run.log is not None:
        yield from ({RUN: run.name, **row} for row in rows_of_log(run.log))
        return
    config = {} if run.config is None else flat(_config(run.config), "config")
    if run.history is not None:
        for row in read_file(run.history).to_dict("records"):
            yield {RUN: run.name, **config, **{str(key): value for key, value in row.items() if value == value}}
    elif run.summary is not None:
        yield {RUN: run.name, **config, **flat(_mapping(run.summary), "")}


def _config(path: Path) -> dict[str, Any]:
    """Read a config; W&B writes each value as {desc: …, value: …}."""
    found = {}
    for key, value in _mapping(path).items():
        if key not in OWN:
            wrapped = isinstance(value, Mapping) and "value" in value and set(value) <= {"desc", "value"}
            found[key] = value["value"] if wrapped else value
    return found


def _mapping(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise UserError(f"found {path.stat().st_size:,} bytes in {path}; wanted at most {LARGEST:,}")
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.load(text, PlainLoader) if path.suffix == ".yaml" else json.loads(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            f"found {path}, which cannot be read ({one_line(error)}); wanted W&B's own file; repair it, or leave it out"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"found no keys in {path}; wanted a config or a summary of a run")
    return found
