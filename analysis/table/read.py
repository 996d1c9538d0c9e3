"""The table: one row a run and milestone, read from a results folder or a file; its columns renamed and derived."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.table.expressions import evaluate
from analysis.wording import listed


def load_table(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read a results folder, or a csv, parquet or jsonl file; a DataFrame passes through.

    Raises `UserError` where there is nothing to read, or it cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        return source
    path = Path(source)
    if path.is_dir():
        from analysis.table.results import read_results

        return read_results(path)
    if not path.exists():
        raise UserError(f"found nothing at {path}; wanted a results folder or a csv, parquet or jsonl file")
    table = _read_file(path)
    if table.empty:
        raise UserError(f"{path} has no rows; wanted at least one run")
    return table


def _read_file(path: Path) -> pd.DataFrame:
    readers: dict[str, Callable[[Path], pd.DataFrame]]
    readers = {"csv": _read_csv, "parquet": pd.read_parquet, "jsonl": _read_jsonl, "ndjson": _read_jsonl}
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if kind not in readers:
        raise UserError(f"found {path.name}; wanted a results folder or a file named *.csv, *.parquet or *.jsonl")
    try:
        return readers[kind](path)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty; wanted a line of column names and rows below it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as {kind}: {_one_line(error)}") from error


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as csv, parquet or jsonl, by the name's ending."""
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in {".csv", ".parquet", ".jsonl"}:
        raise UserError(f"found the output name {target.name}; wanted one that ends in .csv, .parquet or .jsonl")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".csv":
            table.to_csv(target, index=False)
        elif kind == ".parquet":
            table.to_parquet(target, index=False)
        else:
            table.to_json(target, orient="records", lines=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {_one_line(error)}") from error


def concatenate(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the tables of sweeps, by their folders; a run that several share is kept once, under the first."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    whole = pd.concat([table.assign(sweep=source) for source, table in tables.items()], ignore_index=True)
    keys = [name for name in ("run_id", "step", "task") if name in whole.columns]
    return whole.drop_duplicates(keys, ignore_index=True) if "run_id" in keys else whole


def rename_columns(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Take N, D, C, loss, … from columns of other names: {"N": "Model Size"}; one already named so is replaced."""
    missing = [old for old in columns.values() if old not in table.columns]
    if missing:
        raise UserError(f"found no column {missing[0]!r}; the table has {listed(table.columns)}")
    taken = {new: table[old] for new, old in columns.items()}
    moved = {old for new, old in columns.items() if old != new and old not in columns}
    return table.drop(columns=[*moved, *(new for new in columns if new in table.columns)]).assign(**taken)


def derive_column(table: pd.DataFrame, assignment: str) -> pd.DataFrame:
    """Add a column by an assignment such as "D = C/(6*N)" (arithmetic over columns, see `table.expressions`)."""
    name, equals, expression = assignment.partition("=")
    name = name.strip()
    if not equals or expression.startswith("=") or not name.isidentifier():
        raise UserError(f'found --derive "{assignment}"; wanted NAME = EXPRESSION, such as "D = C/(6*N)"')
    return table.assign(**{name: evaluate(table, expression.strip())})


def _read_csv(path: Path) -> pd.DataFrame:
    head = pd.read_csv(path, nrows=0)
    words = {column: str for column in ("run_id", "lr_rule", "overrides", "flags") if column in head.columns}
    return pd.read_csv(path, dtype=words)


def _read_jsonl(path: Path) -> pd.DataFrame:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no object of column: value")
    return pd.DataFrame(rows)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
