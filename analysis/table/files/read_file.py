"""Read table files by suffix: text, parquet, json, xlsx, compressed or not; clean up column names."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from analysis.archive import is_archive, unpack
from analysis.errors import UserError
from analysis.table.files.header import resolve_repeats, visible
from analysis.table.files.json_rows import read_json
from analysis.table.files.latex import is_latex, latex_rows
from analysis.table.files.mappings import with_mappings_expanded
from analysis.table.files.sheets import read_sheet
from analysis.table.files.text import decode, read_text

PACKED: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
LARGEST = 1_000_000_000
"""Maximum number of bytes of a compressed table after decompression."""
KINDS = ("csv", "tsv", "txt", "tex", "parquet", "json", "jsonl", "xlsx", "zip")
BROKEN = (lzma.LZMAError, zlib.error, RuntimeError, SyntaxError)
"""Exceptions of readers on damaged files: RuntimeError for encrypted ones, SyntaxError for truncated XML."""
STAND_INS = {
    b"version https://git-lfs": "a pointer of Git LFS; wanted the file that it stands for; get it with `git lfs pull`",
    b"<!doctype html": "a web page; wanted the table itself; download its raw file",
    b"<html": "a web page; wanted the table itself; download its raw file",
}
"""What downloads bring instead of a table, by how it begins."""
SAME = {"ndjson": "jsonl", "tab": "tsv", "dat": "txt", "md": "txt", "pq": "parquet", "xlsm": "xlsx"}


def read_file(path: Path) -> pd.DataFrame:
    """Read the table in a file by its suffix. Raises `UserError` where it cannot be read."""
    if is_archive(path.name):
        return _of_bundle(path)
    kind = kind_of(path.name)
    if kind not in KINDS:
        raise UserError(
            f"found {path.name}; wanted a results folder or a file named *.{', *.'.join((*KINDS, 'tar.gz'))}"
        )
    try:
        _refuse_stand_ins(path)
        return _tidy(_read(path, kind))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty; wanted a line of column names and rows below it") from None
    except ImportError as error:
        package = "openpyxl" if kind == "xlsx" else str(error.name)
        raise UserError(
            f"found {path} and no package {package} to read it; wanted it; pip install {package}, or save it as csv"
        ) from error
    except (ValueError, OSError, zipfile.BadZipFile, KeyError, EOFError, csv.Error, *BROKEN) as error:
        raise UserError(
            f"found {path}, which cannot be read as {kind} ({one_line(error)}); wanted a whole table; save it again"
        ) from error


def _refuse_stand_ins(path: Path) -> None:
    """Raise `UserError` where a file is what a download brought instead of the table."""
    with path.open("rb") as file:
        start = file.read(64).lower().lstrip()
    for beginning, what in STAND_INS.items():
        if start.startswith(beginning):
            raise UserError(f"found {what}")


def _of_bundle(path: Path) -> pd.DataFrame:
    """Read the table in a bundle, after checking it against the manifest."""
    content = unpack(path, ("table.parquet",)).get("table.parquet")
    if content is None:
        raise UserError(f"found no table.parquet in {path}; wanted a bundle, as `scaling bundle` makes it")
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as error:
        raise UserError(
            f"found a table in {path} that cannot be read ({one_line(error)}); wanted a bundle of scaling; get it again"
        ) from error


def kind_of(name: str) -> str:
    """Return the kind of a file by its name: csv for t.csv and t.csv.gz."""
    parts = name.lower().split(".")
    if len(parts) > 2 and parts[-1] in PACKED:
        parts.pop()
    return SAME.get(parts[-1], parts[-1])


def one_line(error: Exception) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split())[:200]


def _read(path: Path, kind: str) -> pd.DataFrame:
    if kind == "parquet":
        return pd.read_parquet(path)
    if kind == "xlsx":
        return read_sheet(path, path.name)
    if kind == "zip":
        return _read_zip(path)
    unpack = PACKED.get(path.name.lower().rpartition(".")[2])
    if unpack is None:
        return _from_bytes(path.read_bytes(), kind, path.name)
    with unpack(path) as packed:
        return _from_bytes(_bounded(packed), kind, path.name)


def _bounded(packed: IO[bytes]) -> bytes:
    """Decompress a file, up to a maximum size."""
    content = packed.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"found more than {LARGEST:,} bytes packed in it; wanted a table no larger; unpack it")
    return content


def _read_zip(path: Path) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        names = [name for name in names if "readme" not in name.lower()]
        tables = [name for name in names if kind_of(name) in KINDS and kind_of(name) != "zip"]
        if len(tables) != 1:
            raise UserError(f"found {len(tables)} tables in {path} ({', '.join(names[:5])}); wanted one; unpack it")
        with archive.open(tables[0]) as packed:
            kind, content = kind_of(tables[0]), _bounded(packed)
    return _from_bytes(content, kind, tables[0])


def _from_bytes(content: bytes, kind: str, name: str) -> pd.DataFrame:
    if kind == "xlsx":
        return read_sheet(io.BytesIO(content), name)
    if kind == "parquet":
        return pd.read_parquet(io.BytesIO(content))
    text = decode(content)
    if kind in ("tex", "txt") and (kind == "tex" or is_latex(text)):
        return read_text(latex_rows(text), "tsv")
    return read_json(text, kind) if kind in ("json", "jsonl") else read_text(text, kind)


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with unique names, stripped names and text, and no empty columns and rows.

    Repeated header rows, as in joined files, are removed.
    """
    table = _unindexed(table)
    names = {name: visible(name) for name in table.columns}
    table = resolve_repeats(table.rename(columns={name: clean for name, clean in names.items() if name != clean}))
    unnamed = [name for name in table.columns if str(name).startswith("Unnamed: ") or not str(name)]
    empty = [name for name in unnamed if table[name].isna().all() or _is_index(table[name])]
    table = table.drop(columns=empty)
    check_names(table)
    words = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    table = table.assign(**{name: table[name].map(_stripped) for name in words})
    if words and len(words) == len(table.columns):
        table = table[~(table.map(str) == words).all(axis=1)]
    return table.dropna(how="all", ignore_index=True) if len(table) else table


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def check_names(table: pd.DataFrame) -> None:
    """Raise `UserError` unless the column names are single strings and unique."""
    if table.columns.nlevels > 1 or not all(isinstance(name, str) for name in table.columns):
        raise UserError(
            f"found the columns {', '.join(map(str, table.columns[:5]))}; wanted names in words, such as N, D and "
            "loss; name them first"
        )
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(f"found two columns named {twice[0]!r}; wanted one; rename the other")


def with_plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with indices as columns, categories as values, lists and mappings as text."""
    table = with_mappings_expanded(_unindexed(table))
    strange = (pd.CategoricalDtype, pd.ArrowDtype, pd.SparseDtype)
    kinds = {name: table[name] for name, kind in table.dtypes.items() if isinstance(kind, strange)}
    table = table.assign(**{str(name): _usual(column) for name, column in kinds.items()}) if kinds else table
    table = _without_arrays(table)
    odd = [name for name in table.columns if table[name].dtype == object and not _hashable(table[name])]
    return table.assign(**{name: table[name].map(str) for name in odd}) if odd else table


def _hashable(column: pd.Series) -> bool:
    """Tell whether values can be compared and grouped, as lists, arrays and mappings cannot."""
    try:
        hash(tuple(column))
    except TypeError:
        return False
    return True


def _without_arrays(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with arrays of one number (of NumPy, PyTorch, JAX) as numbers."""
    boxed = {
        name: table[name].map(lambda value: value.item() if getattr(value, "shape", None) == () else value)
        for name in table.columns
        if table[name].dtype == object and table[name].map(lambda value: getattr(value, "shape", None) == ()).any()
    }
    return table.assign(**boxed) if boxed else table


def _unindexed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with named index levels as columns and a unique row number."""
    levels = [name for name in table.index.names if name is not None and name not in table.columns]
    table = table.reset_index(level=levels) if levels else table
    return table.reset_index(drop=True) if levels or not table.index.is_unique else table


def _usual(column: pd.Series) -> pd.Series:
    """Return a categorical, Arrow or sparse column as an ordinary one of numbers or text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype if column.notna().all() else object)
    if isinstance(column.dtype, pd.SparseDtype):
        return column.astype(column.dtype.subtype)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return pd.Series(column.to_numpy(float, na_value=np.nan), column.index) if numeric else column.astype(object)


def _is_index(column: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(column) and bool((column.to_numpy() == range(len(column))).all())
