"""Tables in JSON: a list of objects, an object of columns or of rows by name, or one object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd

from analysis.table.recognise.roles import is_known


def read_json(text: str, kind: str) -> pd.DataFrame:
    """Read JSON or JSON lines. Raises `ValueError` where it is neither."""
    if not text.strip():
        raise pd.errors.EmptyDataError("no row")
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = _lines(text)
    if isinstance(content, dict):
        if all(isinstance(content.get(key), list) for key in ("columns", "data")):
            return pd.DataFrame(content["data"], columns=content["columns"])
        content = _inside(content, kind)
    if _is_rows(content):
        return pd.json_normalize(content)
    if content == []:
        return pd.DataFrame()
    if isinstance(content, dict) and all(isinstance(value, list | dict) for value in content.values()):
        return pd.DataFrame(content)
    raise ValueError("it is no list of objects of column: value")


def _lines(text: str) -> list[object]:
    """Read one object per line; raise `ValueError` that names an invalid line."""
    found: list[object] = []
    for i, line in enumerate(text.splitlines(), start=1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {i} is no JSON: {error.msg} at character {error.pos + 1}") from error
    return found


def _inside(content: dict[str, object], kind: str) -> object:
    """Return the rows in an object: under one of its keys, under each of its keys, or the object itself."""
    lists = [value for value in content.values() if _is_rows(value)]
    if len(lists) == 1:
        return lists[0]
    if kind == "jsonl" and not lists:
        return [content]
    rows = [value for value in content.values() if isinstance(value, Mapping)]
    if rows and len(rows) == len(content) and not any(map(is_known, content)):
        keys = pd.json_normalize(rows[:1]).columns  # type: ignore[arg-type]
        if any(map(is_known, keys)):
            return [{"name": name, **row} for name, row in zip(content, rows, strict=True)]
    return content


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(row, dict) for row in value)
