"""What is exported of each run, the same to every tool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import UserError

CURVES = ("loss", "error", "val_loss", "val_error", "train_loss", "D", "C", "epochs")
"""Numbers of a point, over the steps."""

FINAL = ("loss", "loss_se", "error", "error_se", "val_loss", "val_error", "train_loss", "seconds")
"""Numbers at the end of a run."""

NO_CONFIG = (*CURVES, *FINAL, "run_id", "final", "step", "flags", "reason", "status", "finished_at")
"""Columns that are no setting of a run."""

ARTIFACTS = ("fit.json", "report.html", "plan.csv", "sweep.yaml")
"""Files of a sweep that go with its runs, where they are there."""


@dataclass(frozen=True)
class ExportedRun:
    """One run: its settings and counts, its points as (step, numbers), and how it ended; ended: Unix seconds."""

    run_id: str
    name: str
    config: dict[str, Any]
    points: tuple[tuple[int, dict[str, float]], ...]
    final: dict[str, float]
    status: str
    ended: float


def exported(table: pd.DataFrame) -> Iterator[ExportedRun]:
    """Yield the runs that have points; `UserError` where the table names no runs."""
    if "run_id" not in table.columns:
        raise UserError("found a table without run_id; wanted the results folder of a sweep, such as results/NAME")
    settings = [name for name in table.columns if name not in NO_CONFIG]
    for run_id, rows in table.groupby("run_id", sort=False):
        last = rows.iloc[-1]
        if pd.isna(last.get("step")):
            continue
        points = tuple((int(row["step"]), _numbers(row, CURVES)) for row in rows.to_dict("records"))
        config = {name: plain for name in settings if (plain := _plain(last[name])) is not None}
        name = str(last.get("overrides") or run_id)
        status = str(last.get("status", "finished"))
        yield ExportedRun(str(run_id), name, config, points, _numbers(last, FINAL), status, _ended(last))


def _numbers(row: Any, names: tuple[str, ...]) -> dict[str, float]:
    found = {name: row.get(name) for name in names}
    return {name: float(value) for name, value in found.items() if value is not None and np.isfinite(float(value))}


def _plain(value: Any) -> Any:
    """Return a setting as a plain number, word or truth; None where there is none."""
    if value is None or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _ended(row: Any) -> float:
    try:
        return datetime.fromisoformat(str(row.get("finished_at"))).timestamp()
    except ValueError:
        return 0.0


def artifacts(source: Path) -> list[Path]:
    """Return the files of a sweep that go with its runs."""
    return [source / name for name in ARTIFACTS if (source / name).is_file()] if source.is_dir() else []


def tool(name: str, module: str) -> Any:
    """Import a module of the tool that is exported to; `UserError` where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"found no {name} here; wanted it for its own format; pip install 'scaling[{name}]'") from error
