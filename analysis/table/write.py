"""Write a table as csv, Parquet or JSON lines."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.table.files.read_file import one_line


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as csv, parquet or jsonl, by the path's suffix."""
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in {".csv", ".parquet", ".jsonl"}:
        raise UserError(f"found the output name {target.name}; wanted one that ends in .csv, .parquet or .jsonl")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".csv":
            table.to_csv(target, index=False)
        elif kind == ".parquet":
            _write_parquet(table, target)
        else:
            table.to_json(target, orient="records", lines=True)
    except OSError as error:
        raise UserError(
            f"found {target}, which cannot be written ({one_line(error)}); wanted a file to write; name another"
        ) from error


def _write_parquet(table: pd.DataFrame, target: Path) -> None:
    """Write Parquet, with columns of mixed kinds as text, as it has one kind for each column."""
    try:
        table.to_parquet(target, index=False)
    except (TypeError, ValueError):  # of pyarrow
        mixed = [name for name in table.columns if pd.api.types.infer_dtype(table[name]).startswith("mixed")]
        words = {name: table[name].map(str, na_action="ignore") for name in mixed}
        table.assign(**words).to_parquet(target, index=False)
