"""Learning curves: the points of a run where it has some, else those that its log holds beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.table.results import find_runs

LOSSES = ("train_loss", "val_loss", "loss")
"""Of the training examples, the validation and the test set; a log has the first two, of a few examples."""

ENOUGH = 3
"""Points that are a curve."""

MOST_LOGS = 5_000
"""Logs that are read; runs beyond them have their curve in their log alone."""


def learning_curves(table: pd.DataFrame, source: Path | None) -> pd.DataFrame:
    """Return run_id, step and losses, a row a point, of the runs of a table that have a curve.

    source: the results folder that the table was read from; None, or a file, for a table without logs.
    """
    columns = ["run_id", "step", *LOSSES]
    if not {"run_id", "step"} <= set(table.columns):
        return pd.DataFrame(columns=columns)
    rows = table[table["step"] > 0].reindex(columns=columns)
    own = rows[rows.groupby("run_id")["step"].transform("size") >= ENOUGH]
    runs = find_runs(source) if source is not None and source.is_dir() else None
    if runs is None:
        return own
    others = table.loc[table["step"].notna() & ~table["run_id"].isin(own["run_id"]), "run_id"].unique()
    logged = pd.DataFrame(_logged(runs, [str(run) for run in others[:MOST_LOGS]]), columns=columns[:-1])
    return pd.concat([own, logged], ignore_index=True) if len(logged) else own


def _logged(runs: Path, ids: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield run_id, step, training and validation loss of each line of a curve; other lines are points (`final`)."""
    with ThreadPoolExecutor(16) as pool:
        for run_id, lines in zip(ids, pool.map(lambda run_id: _read(runs / run_id / "log.jsonl"), ids), strict=True):
            found = [line for line in lines if "final" not in line and isinstance(line.get("step"), int)]
            if len(found) >= ENOUGH:
                yield from ((run_id, line["step"], line.get("train_loss"), line.get("val_loss")) for line in found)


def _read(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; what was cut in half by a crash is left out."""
    try:
        texts = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line for text in texts if isinstance(line := _parsed(text), dict)]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
