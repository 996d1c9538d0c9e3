"""Read a table (one row per run and milestone) from a results folder or a file; rename and derive its columns."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.table.columns import with_written_numbers
from analysis.table.expressions import evaluate
from analysis.table.files.read_file import check_names, read_file, with_plain_columns
from analysis.table.files.summary_rows import without_summary
from analysis.table.recognise.own_columns import with_own_columns
from analysis.table.recognise.roles import recognise
from analysis.table.remarks import with_former_names, with_moved, without_note
from analysis.wording import listed


def load_table(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read a results folder, a table file (csv, tsv, json, jsonl, xlsx, parquet, also compressed), or a DataFrame.

    Missing columns (N, D, C, loss, …) are taken from columns with other usual names (params, tokens, flops, val_loss,
    …) if exactly one matches, with a remark. Raises `UserError` where there is nothing to read or reading fails.
    """
    return with_own_columns(recognise(read_table(source)))


def read_table(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read a table as `load_table` does, but keep the column names."""
    convert = getattr(source, "to_pandas", None)  # a table of pyarrow or polars
    source = convert() if convert else source
    if isinstance(source, pd.DataFrame):
        check_names(source)
        return without_summary(with_plain_columns(source))
    if not isinstance(source, str | Path):
        raise UserError(
            f"found a {type(source).__name__}; wanted a pandas DataFrame (pandas.DataFrame({{...}})), or the path of a "
            "results folder or of a table"
        )
    path = Path(source).expanduser()
    found = _status(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        from analysis.table.results import read_results

        return read_results(path)
    if found is None:
        wanted = "a results folder or a csv, parquet or jsonl file"
        if re.match(r"\w{2,}:/", str(source)):
            raise UserError(f"found {source}, which is no path; wanted {wanted}; download it first")
        raise UserError(f"found nothing at {path}; wanted {wanted}")
    table = without_summary(with_plain_columns(read_file(path)))
    if table.empty:
        raise UserError(f"{path} has no rows; wanted at least one run")
    return table


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file or folder, None if there is none; UserError if it cannot be looked at."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise UserError(
                f"found {path}, which cannot be read ({error.strerror}); wanted a table that you may read; mend that"
            ) from None
    except ValueError:  # a null character
        pass
    raise UserError(f"found {len(str(path)):,} characters that are no path; wanted that of a table")


def concatenate(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the tables of sweeps, keyed by folder; a run in several of them is kept once, under the first."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    whole = pd.concat([table.assign(sweep=source) for source, table in tables.items()], ignore_index=True)
    keys = [name for name in ("run_id", "step", "task") if name in whole.columns]
    return whole.drop_duplicates(keys, ignore_index=True) if "run_id" in keys else whole


def rename_columns(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Rename columns to N, D, C, loss, … as in {"N": "Model Size"}; an existing column of the new name is replaced."""
    missing = [old for old in columns.values() if old not in table.columns]
    if missing:
        raise UserError(f"found no column {missing[0]!r}; the table has {listed(table.columns)}")
    taken = {new: table[old] for new, old in columns.items()}
    moved = {old: new for new, old in columns.items() if old != new and old not in columns}
    for new in columns:
        table = without_note(table, new)
    table = table.drop(columns=[*moved, *(new for new in columns if new in table.columns)]).assign(**taken)
    return with_moved(table, moved)


def derive_column(table: pd.DataFrame, assignment: str) -> pd.DataFrame:
    """Add a column by an assignment such as "D = C/(6*N)" (see `table.expressions`)."""
    name, equals, expression = assignment.partition("=")
    name = name.strip()
    if not equals or expression.startswith("=") or not name.isidentifier():
        raise UserError(f'found --derive "{assignment}"; wanted NAME = EXPRESSION, such as "D = C/(6*N)"')
    value = evaluate(with_written_numbers(table), expression.strip())
    table = with_former_names(without_note(table, name), name)  # by its former name a column is still what it was
    return table.assign(**{name: value})
