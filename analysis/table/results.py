"""Read a sweep's results folder: its plan joined with the records of its runs, in one pass."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.files import is_name, read_file
from analysis.table.select import OWN_TASK
from analysis.table.swept import setting, swept_keys, without_constants

log = logging.getLogger(__name__)

POINT = (
    *("step", "D", "C", "C_counted", "epochs"),
    *("loss", "loss_se", "error", "error_se", "val_loss", "val_error", "train_loss"),
)
"""Numbers of a milestone; a record's other numbers are added after them."""

RUN = {"D": "run_D", "C": "run_C", "C_counted": "run_C_counted", "epochs": "run_epochs", "steps": "run_steps"}
"""Counts of the whole run that differ from the milestone's; others keep their names as columns."""

NUMBERS = ("seconds", "examples_per_second", "forecast_seconds", "chance", "n_test", "n_val")
DATA = ("metric", "chance", "n_test", "n_val")
HOW = ("seconds", "examples_per_second", "forecast_seconds", "device", "precision", "host", "attempts", "finished_at")
WORDS = (
    *("run_id", "overrides", "family", "data", "optim", "lr_rule", "batch_rule", "schedule", "augment", "precision"),
    *("engine", "stage", "task", "parent", "origin", "stage_recipe"),
)
SCHEMA = 1
"""The newest supported version of record.json."""

HARMLESS = (
    "finished",
    "diverged",
    "preempted",
    "requeued",
    "node_lost",
    "interrupted",
    "cancelled",
    "paused",
    "stopped",
    "",
)
"""Causes of an attempt's end that are not a failure of the run."""


def read_results(folder: str | Path) -> pd.DataFrame:
    """Join FOLDER/plan.csv with the records in the folder runs beside it; one row per run and milestone.

    Runs without a usable record get one row, with status failed or missing and the reason.
    """
    folder = Path(folder)
    plan = _read_plan(folder)
    runs = find_runs(folder)
    columns: dict[str, list[Any]] = {}
    owner: list[int] = []
    folders = [runs / run_id if runs else None for run_id in plan["run_id"].tolist()]
    swept = swept_keys(plan["overrides"]) if "overrides" in plan else []
    for i, (run, text) in enumerate(zip(folders, _read_all(folders), strict=True)):
        for row in _rows_of(run, text, swept) if run else [{"status": "missing", "reason": ""}]:
            for key in row:
                if key not in columns:  # in the order of the record, so that equal tables give equal files
                    columns[key] = [None] * len(owner)
            owner.append(i)
            for key, values in columns.items():
                values.append(row.get(key))
    return without_constants(_join(plan, np.array(owner, dtype=int), columns, _forecasts(folder)))


def read_runs(folder: Path, ids: Sequence[str]) -> pd.DataFrame:
    """Return the records of runs by id, planned or not; one row per run and milestone, empty if there are none."""
    runs = find_runs(folder)
    folders = [runs / run_id for run_id in ids if is_name(run_id)] if runs else []
    rows = [
        {"run_id": run.name, **row}
        for run, text in zip(folders, _read_all(folders), strict=True)
        for row in _rows_of(run, text)
    ]
    return _typed(pd.DataFrame(rows, columns=None if rows else ["run_id"]))


def find_runs(folder: Path) -> Path | None:
    """Return the folder runs beside a sweep's folder or one of its parents; None if there is none."""
    for parent in folder.resolve().parents:
        if (parent / "runs").is_dir():
            return parent / "runs"
    return None


def _read_plan(folder: Path) -> pd.DataFrame:
    path = folder / "plan.csv"
    if not path.is_file():
        raise UserError(f"found no plan.csv in {folder}; wanted the results folder of a sweep, such as results/NAME")
    try:
        raw = read_file(path)
        if not raw.endswith(b"\n"):
            raise ValueError("its last row is cut")
        plan = pd.read_csv(io.BytesIO(raw), dtype=dict.fromkeys(WORDS, str), keep_default_na=False, na_values=[""])
        if "C" in plan:
            pd.to_numeric(plan["C"])  # not so where rows of two files were put together
    except (ValueError, OSError) as error:
        raise UserError(
            f"found {path}, which cannot be read as a plan ({' '.join(str(error).split())[:160]}); wanted a whole one; "
            f"`scaling run` writes it anew"
        ) from error
    if "run_id" not in plan.columns or plan.empty:
        raise UserError(f"{path} names no run; wanted a column run_id and a row for each run")
    odd = [name for name in plan["run_id"] if not is_name(str(name))]
    if odd:
        raise UserError(f"{path} names a run {odd[0]!r}; wanted an id; somebody has changed the plan")
    return plan.drop_duplicates("run_id", ignore_index=True)


def _read_all(folders: Sequence[Path | None]) -> Iterator[bytes | OSError | None]:
    """Read the records of runs, None where missing or why not; in parallel, as network file systems are slow."""
    chunks = [folders[i : i + 50] for i in range(0, len(folders), 50)]
    with ThreadPoolExecutor(16) as pool:
        for texts in pool.map(lambda chunk: [_read(run) for run in chunk], chunks):
            yield from texts


def _read(run: Path | None) -> bytes | OSError | None:
    if run is None:
        return None
    try:
        return read_file(f"{run}/record.json")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # not readable or not available: affects this run alone
        return error


def _rows_of(run: Path, text: bytes | OSError | None, swept: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the rows of one run: its milestones, or one row with the reason why there are none.

    swept: keys of its config that become columns.
    """
    if text is None:
        return [_unsettled(run)]
    if isinstance(text, OSError):
        reason = f"record.json cannot be read ({text.strerror})"
        log.warning("%s: the run counts as missing", f"{run}/{reason}")
        return [{"status": "missing", "reason": f"its {reason}"}]
    try:
        record = json.loads(text)
        if record.get("schema", SCHEMA) > SCHEMA:
            reason = f"its record.json has schema {record['schema']}, and this reads up to {SCHEMA}"
            return [{"status": "missing", "reason": reason}]
        if record.get("run_id", run.name) != run.name:
            log.warning("%s is that of run %s: the run counts as missing", run / "record.json", record["run_id"])
            return [{"status": "missing", "reason": f"its record.json is that of run {record['run_id']}"}]
        return _milestones(record, swept)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        log.warning("%s is damaged: the run counts as missing and has to be done again", run / "record.json")
        return [{"status": "missing", "reason": "its record.json is damaged"}]


def _milestones(record: dict[str, Any], swept: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per milestone; for a stage that started from another run, one row at that run's milestone."""
    counts, points, descent = record["counts"], record["points"], record.get("descent")
    if descent:
        counts = {**descent["counts"], **descent["run"]}
        points = [{**point, **descent["point"]} for point in points[-1:]]
        swept = [key for key in swept if key.startswith("model.")]  # its data is not that of its training run
    whole = {**_whole(record, counts), **{key: setting(record.get("config"), key) for key in swept}}
    if not points:
        return [{**whole, "final": True}]
    # A point's lr is that of its last step, which a schedule may have decayed to 0; the run's lr is in the plan.
    return [{**whole, **point, "final": bool(point.get("final")), "lr": None} for point in points]


def _whole(record: dict[str, Any], counts: dict[str, Any]) -> dict[str, Any]:
    """Return the values shared by all rows of a run."""
    how, data = record.get("how") or {}, record.get("data") or {}
    return {
        "status": str(record["status"]),
        "flags": "|".join(record.get("flags") or []),
        "reason": str(record.get("reason") or ""),
        **{key: value for key, value in counts.items() if key not in RUN and value is not None},
        **{new: counts[old] for old, new in RUN.items() if counts.get(old) is not None},
        **{key: data.get(key) for key in DATA},
        **{key: how.get(key) for key in HOW},
        **({"data_digest": digest} if (digest := (record.get("content") or {}).get("data")) else {}),
    }


def read_logs(runs: Path, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of runs/ID/log.jsonl of each run; lines of points have `final`, lines of a curve do not."""
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(ids, pool.map(lambda run_id: _read_log(runs / run_id / "log.jsonl"), ids), strict=True))


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Read the lines that have a step; a line truncated by a crash is left out."""
    try:
        texts = read_file(path).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line for text in texts if (line := _parsed(text)) and isinstance(line.get("step"), int)]


def _unsettled(run: Path) -> dict[str, Any]:
    """Return the row of a run without a record: failed or missing, by the last line of its attempts."""
    try:
        lines = read_file(run / "attempts.jsonl").decode(errors="replace").splitlines()
    except OSError:  # missing or not readable
        return {"status": "missing", "reason": ""}
    attempts = [line for line in map(_parsed, lines) if line]
    if not attempts or str(attempts[-1].get("cause") or "") in HARMLESS:
        return {"status": "missing", "reason": "", "attempts": len(attempts)}
    last = attempts[-1]
    error = " ".join(str(last.get("error") or "").split())
    reason = str(last["cause"]) + (f": {error}" if error else "")
    return {"status": "failed", "reason": reason, "attempts": len(attempts)}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _forecasts(folder: Path) -> pd.DataFrame | None:
    path = folder / "forecast.csv"
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(io.BytesIO(read_file(path)), dtype={"run_id": str})
    except (ValueError, OSError):
        return None
    return table if {"run_id", "seconds"} <= set(table.columns) else None


def precisions(table: pd.DataFrame) -> pd.Series:
    """Return the precision of each row; where a stage's differs from its training run's, the latter comes first."""
    own = table.get("precision", pd.Series(None, index=table.index)).astype(object)
    if "origin" not in table.columns:
        return own
    first = table["origin"].map(dict(zip(table["run_id"], own, strict=True))).astype(object)
    differs = first.notna() & own.notna() & (first != own)
    return own.mask(differs, first.astype(str) + " > " + own.astype(str))


def _typed(read: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns read from records to numbers, booleans and text."""
    for name in (*POINT, "final", "flags", "reason"):
        if name not in read.columns:
            read[name] = np.nan
    for name in POINT:
        read[name] = pd.to_numeric(read[name], errors="coerce")
    read["final"] = [value is True for value in read["final"]]
    for name in ("flags", "reason"):
        read[name] = read[name].astype(object).where(read[name].notna(), "")
    return read


def _join(
    plan: pd.DataFrame, owner: np.ndarray, columns: dict[str, list[Any]], forecasts: pd.DataFrame | None
) -> pd.DataFrame:
    """Join the plan's columns and the records'; where both have a value, the record's is used."""
    table = plan.iloc[owner].reset_index(drop=True)
    for whole, name in RUN.items():
        if whole in table.columns:
            table[name] = table[whole]
    table = table.drop(columns=[*RUN, "step"], errors="ignore")
    read = _typed(pd.DataFrame(columns, index=table.index))
    table["task"] = table["task"].fillna(OWN_TASK) if "task" in table.columns else OWN_TASK
    for name in read.columns.intersection(table.columns):
        read[name] = read[name].where(read[name].notna(), table[name]).infer_objects()
    table = pd.concat([table.drop(columns=read.columns, errors="ignore"), read], axis=1)
    table["precision"] = precisions(table)
    if forecasts is not None:
        forecast = table["run_id"].map(forecasts.drop_duplicates("run_id").set_index("run_id")["seconds"])
        known = table.get("forecast_seconds", pd.Series(np.nan, index=table.index))
        table["forecast_seconds"] = pd.to_numeric(known, errors="coerce").fillna(forecast)
    for name in table.columns:
        if name in NUMBERS or name in RUN.values() or name.partition("_")[0] in ("N", "D"):
            table[name] = pd.to_numeric(table[name], errors="coerce")
    order = [name for name in plan.columns if name in table.columns]
    return table[order + [name for name in table.columns if name not in order]]
