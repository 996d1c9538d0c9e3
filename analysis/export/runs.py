"""The exported data of a run, the same for every tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from analysis.errors import UserError

CURVES = ("loss", "error", "val_loss", "val_error", "train_loss", "D", "C", "epochs")
"""Numbers of a point, exported as curves over the steps."""

FINAL = ("loss", "loss_se", "error", "error_se", "val_loss", "val_error", "train_loss", "seconds")
"""Numbers of a run's last point, exported as its results."""

NO_CONFIG = (*CURVES, *FINAL, "run_id", "final", "step", "flags", "reason", "status", "finished_at")
"""Columns that are not settings of a run."""

TAGS = {"train_loss": "curve/train_loss", "val_loss": "curve/val_loss"}
"""Tags of a log's learning curve, whose losses are computed from few examples."""

RUNNING = "running"

ARTIFACTS = ("fit.json", "report.html", "plan.csv", "sweep.yaml")
"""Files of a sweep that are exported with its runs, if they exist."""


@dataclass(frozen=True)
class ExportedRun:
    """One run: its settings and counts, its points as (step, numbers), its final numbers and its status.

    ended: Unix seconds; for a running run, the time of the export.
    """

    run_id: str
    name: str
    config: dict[str, Any]
    points: tuple[tuple[int, dict[str, float]], ...]
    final: dict[str, float]
    status: str
    ended: float

    @property
    def over(self) -> bool:
        """Tell whether the run has ended."""
        return self.status != RUNNING


Logs = Mapping[str, Sequence[dict[str, Any]]]


class Writer(Protocol):
    """Writes runs in a tool's own format; when a run is passed again, its new data are added."""

    def write(self, run: ExportedRun) -> None: ...  # noqa: D102

    def close(self, files: Iterable[Path]) -> None:
        """Write the files of the sweep, and finish."""


class News:
    """Keeps track of which data of each run have been written."""

    def __init__(self) -> None:
        self._written: dict[str, set[tuple[int, str]]] = {}

    def of(self, run: ExportedRun) -> list[tuple[int, dict[str, float]]]:
        """Return the new numbers of a run as (step, numbers), and note them as written."""
        known = self._written.setdefault(run.run_id, set())
        found = [
            (step, {tag: v for tag, v in numbers.items() if (step, tag) not in known}) for step, numbers in run.points
        ]
        known.update((step, tag) for step, numbers in run.points for tag in numbers)
        return [(step, numbers) for step, numbers in found if numbers]


def write_all(writer: Writer, runs: Iterable[ExportedRun], files: Iterable[Path]) -> int:
    """Write runs and the files of their sweep; return the number of runs."""
    n = 0
    for n, run in enumerate(runs, 1):  # noqa: B007
        writer.write(run)
    writer.close(files)
    return n


def exported(table: pd.DataFrame, logs: Logs | None = None, *, now: float = 0.0) -> Iterator[ExportedRun]:
    """Yield the runs that have points in the table or in their logs; `UserError` for a table without run_id.

    logs: lines of each run's log (see `read_logs`). now: Unix seconds, the end time of running runs.
    """
    if "run_id" not in table.columns:
        raise UserError("found a table without run_id; wanted the results folder of a sweep, such as results/NAME")
    settings = [name for name in table.columns if name not in NO_CONFIG]
    for run_id, rows in table.groupby("run_id", sort=False):
        last, points = rows.iloc[-1], dict[int, dict[str, float]]()
        for line in (logs or {}).get(str(run_id), ()):
            points.setdefault(int(line["step"]), {}).update(_logged(line))
        for row in rows[rows["step"].notna()].to_dict("records") if "step" in rows.columns else ():
            points.setdefault(int(row["step"]), {}).update(_numbers(row, CURVES))
        if not points:
            continue
        settled = pd.notna(last.get("step"))
        config = {name: plain for name in settings if (plain := _plain(last[name])) is not None}
        yield ExportedRun(
            run_id=str(run_id),
            name=str(last.get("overrides") or run_id),
            config=config,
            points=tuple(sorted(points.items())),
            final=_numbers(last, FINAL) if settled else {},
            status=str(last.get("status", "finished")) if settled else RUNNING,
            ended=_ended(last, now),
        )


def _numbers(row: Any, names: tuple[str, ...]) -> dict[str, float]:
    found = {name: row.get(name) for name in names}
    return {name: float(value) for name, value in found.items() if value is not None and np.isfinite(float(value))}


def _logged(line: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of a log: a point, or a point of the learning curve (see `TAGS`)."""
    if "final" in line:
        return _numbers(line, CURVES)
    return {tag: float(line[name]) for name, tag in TAGS.items() if line.get(name) is not None}


def _plain(value: Any) -> Any:
    """Return a setting as a plain number, text or bool; None for a missing one."""
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _ended(row: Any, now: float) -> float:
    try:
        return datetime.fromisoformat(str(row.get("finished_at"))).timestamp()
    except ValueError:
        return now


def artifacts(source: Path) -> list[Path]:
    """Return the existing files of a sweep that are exported with its runs."""
    return [source / name for name in ARTIFACTS if (source / name).is_file()] if source.is_dir() else []


def tool(name: str, module: str) -> Any:
    """Import a module of an exporting tool; `UserError` if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"found no {name} here; wanted it for its own format; pip install 'scaling[{name}]'") from error
