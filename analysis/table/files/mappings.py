"""Expand cells that hold mappings, as in tables exported from trackers, into one column per key."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.errors import UserError

NAMES = ("config", "summary", "params", "metrics", "hparams")
"""Columns whose cells may be mappings in text."""


def with_mappings_expanded(table: pd.DataFrame) -> pd.DataFrame:
    """Expand the mappings in cells, as in the CSV of W&B's export script, into one column per key.

    Raises `UserError` where a column of that name exists already.
    """
    for name in [name for name in table.columns if table[name].dtype.kind == "O"]:
        if name not in NAMES and not (len(table) and isinstance(table[name].iloc[0], Mapping)):
            continue
        cells = [_mapping(value) for value in table[name]]
        if cells and all(cells):
            inside = pd.json_normalize(cells).set_axis(table.index).add_prefix(f"{name}.")  # type: ignore[arg-type]
            twice = [str(column) for column in inside.columns if column in table.columns]
            if twice:
                raise UserError(f"found {twice[0]} as a column and in {name}; wanted one of them; rename the column")
            table = pd.concat([table.drop(columns=[name]), inside], axis=1)
    return table


def _mapping(value: object) -> dict[str, Any] | None:
    """Parse a mapping in Python syntax such as {'lr': 0.1, 'loss': nan}; None for anything else."""
    if isinstance(value, Mapping):
        return dict(value) or None
    text = str(value).strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        found = ast.literal_eval(re.sub(r"(?<=: )(nan|-?inf)\b", "None", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None
