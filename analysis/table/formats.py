"""Files of tables: csv and its kin in any encoding and with any separator, parquet, json, xlsx, packed or not."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.archive import is_archive, unpack
from analysis.errors import UserError

PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress}
KINDS = ("csv", "tsv", "txt", "parquet", "json", "jsonl", "xlsx", "zip")
SAME = {"ndjson": "jsonl", "tab": "tsv", "dat": "txt", "pq": "parquet", "xlsm": "xlsx"}
WORDS = ("run_id", "lr_rule", "batch_rule", "overrides", "flags")
"""Columns of ours that stay words, though they may look like numbers."""
SEPARATORS = ",;\t|"


def read_file(path: Path) -> pd.DataFrame:
    """Read the table in a file, by its name's ending. Raises `UserError` where it cannot be read."""
    if is_archive(path.name):
        return _of_bundle(path)
    kind = kind_of(path.name)
    if kind not in KINDS:
        raise UserError(
            f"found {path.name}; wanted a results folder or a file named *.{', *.'.join((*KINDS, 'tar.gz'))}"
        )
    try:
        return _tidy(_read(path, kind))
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty; wanted a line of column names and rows below it") from None
    except ImportError as error:
        package = "openpyxl" if kind == "xlsx" else str(error.name)
        raise UserError(
            f"cannot read {path} without the package {package}; pip install {package}, or save it as csv"
        ) from error
    except (ValueError, OSError, zipfile.BadZipFile, KeyError, EOFError, csv.Error, lzma.LZMAError) as error:
        raise UserError(f"{path} cannot be read as {kind}: {one_line(error)}") from error


def _of_bundle(path: Path) -> pd.DataFrame:
    """Read the table in a bundle, which is as its manifest says."""
    content = unpack(path, ("table.parquet",)).get("table.parquet")
    if content is None:
        raise UserError(f"found no table.parquet in {path}; wanted a bundle, as `scaling bundle` makes it")
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (ValueError, OSError) as error:
        raise UserError(f"the table in {path} cannot be read: {one_line(error)}") from error


def kind_of(name: str) -> str:
    """Return the kind of a file by its name: csv of t.csv and t.csv.gz."""
    parts = name.lower().split(".")
    if len(parts) > 2 and parts[-1] in PACKED:
        parts.pop()
    return SAME.get(parts[-1], parts[-1])


def one_line(error: Exception) -> str:
    """Return what an error says in one line."""
    return " ".join(str(error).split())[:200]


def _read(path: Path, kind: str) -> pd.DataFrame:
    if kind == "parquet":
        return pd.read_parquet(path)
    if kind == "xlsx":
        return pd.read_excel(path, engine="openpyxl")
    if kind == "zip":
        return _read_zip(path)
    unpack = PACKED.get(path.name.lower().rpartition(".")[2], bytes)
    return _from_bytes(unpack(path.read_bytes()), kind)


def _read_zip(path: Path) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        tables = [name for name in names if kind_of(name) in KINDS and kind_of(name) != "zip"]
        if len(tables) != 1:
            raise UserError(f"found {len(tables)} tables in {path} ({', '.join(names[:5])}); wanted one; unpack it")
        kind, content = kind_of(tables[0]), archive.read(tables[0])
    if kind == "xlsx":
        return pd.read_excel(io.BytesIO(content), engine="openpyxl")
    return pd.read_parquet(io.BytesIO(content)) if kind == "parquet" else _from_bytes(content, kind)


def _from_bytes(content: bytes, kind: str) -> pd.DataFrame:
    text = decode(content)
    if kind in ("json", "jsonl"):
        return _from_json(text, kind)
    return _from_csv(text, kind)


def decode(content: bytes) -> str:
    """Decode text: UTF-8, UTF-16 where it begins so or every second byte is zero, else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if b"\x00" in content[:200]:
        return content.decode("utf-16-le" if content[1:2] == b"\x00" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _from_csv(text: str, kind: str) -> pd.DataFrame:
    """Read lines of values; lines that begin with # before the head are comments, the separator is the head's."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        raise pd.errors.EmptyDataError("no line of column names")
    separator = _separator(lines[first : first + 20], kind)
    comments = any(line.lstrip().startswith("#") for line in lines[first + 1 :])
    body = "\n".join(line for line in lines[first:] if not line.lstrip().startswith("#")) if comments else None
    read = io.StringIO(body if body is not None else "\n".join(lines[first:]))
    head = [name.strip() for name in next(csv.reader([lines[first]], delimiter=_one(separator)))]
    words = {name: str for name in WORDS if name in head}
    decimal = "," if separator == ";" and _decimal_commas(lines[first + 1 : first + 20]) else "."
    return pd.read_csv(read, sep=separator, dtype=words, decimal=decimal, skipinitialspace=separator == ",")


def _separator(lines: list[str], kind: str) -> str:
    """Return what separates the values: of the usual signs the one that the head has most often, else white space."""
    if kind == "tsv" and "\t" in lines[0]:
        return "\t"
    outside = "".join(part for i, part in enumerate(lines[0].split('"')) if i % 2 == 0)
    best = max(SEPARATORS, key=outside.count)
    if outside.count(best):
        return best
    several = len(lines[0].split()) > 1 and all(len(line.split()) == len(lines[0].split()) for line in lines if line)
    return r"\s+" if several else ","


def _one(separator: str) -> str:
    return " " if separator == r"\s+" else separator


def _decimal_commas(lines: list[str]) -> bool:
    """Tell whether numbers are written with decimal commas: 3,14;2,71."""
    values = [value.strip() for line in lines for value in line.split(";")]
    commas = [value for value in values if value.replace(",", "", 1).lstrip("-").isdigit() and "," in value]
    return bool(commas) and not any("." in value and value.replace(".", "", 1).isdigit() for value in values)


def _from_json(text: str, kind: str) -> pd.DataFrame:
    """Read a list of objects, an object of columns, one with such a list inside, or an object a line."""
    if not text.strip():
        raise pd.errors.EmptyDataError("no row")
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(content, dict):
        inside = [value for value in content.values() if _is_rows(value)]
        if {"columns", "data"} <= set(content) and isinstance(content["data"], list):
            return pd.DataFrame(content["data"], columns=content["columns"])
        if not inside and kind == "jsonl":
            content = [content]
        elif len(inside) == 1:
            content = inside[0]
    if _is_rows(content):
        return pd.json_normalize(content)
    if isinstance(content, dict) and all(isinstance(value, list | dict) for value in content.values()):
        return pd.DataFrame(content)
    raise ValueError("a line is no object of column: value")


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(row, dict) for row in value)


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with names of columns as words without space around them, and without empty columns and rows."""
    table = table.rename(columns={name: str(name).strip() for name in table.columns if str(name).strip() != name})
    unnamed = [name for name in table.columns if str(name).startswith("Unnamed: ") or not str(name)]
    empty = [name for name in unnamed if table[name].isna().all() or _is_index(table[name])]
    table = table.drop(columns=empty)
    check_names(table)
    return table.dropna(how="all", ignore_index=True) if len(table) else table


def check_names(table: pd.DataFrame) -> None:
    """Raise `UserError` unless the columns are named by one word each, and no two alike."""
    if table.columns.nlevels > 1 or not all(isinstance(name, str) for name in table.columns):
        raise UserError(
            f"found the columns {', '.join(map(str, table.columns[:5]))}; wanted names in words, such as N, D and "
            "loss; name them first"
        )
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(f"found two columns named {twice[0]!r}; wanted one; rename the other")


def hashable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with lists and mappings in its cells as words, so that rows can be grouped by them."""
    odd = [
        name
        for name in table.columns
        if table[name].dtype == object and table[name].map(lambda value: isinstance(value, list | dict | set)).any()
    ]
    return table.assign(**{name: table[name].map(str) for name in odd}) if odd else table


def _is_index(column: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(column) and bool((column.to_numpy() == range(len(column))).all())
