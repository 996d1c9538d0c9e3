"""Settings that a sweep varies and that its plan has no column for, such as model.dropout or model.kwargs.kernel."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

KEY = re.compile(r"(?:^| )((?:model|data)\.[\w.]+|train\.clip)=(\S*)")
SIZES = ("model.width", "model.depth", "model.expansion", "data.size", "data.seed")
"""Keys with a column of their own, or that are repeats of one setting."""


def is_swept(column: str) -> bool:
    """Return whether a column is a key of a config."""
    return column.startswith(("model.", "data.")) or column == "train.clip"


def swept_keys(overrides: pd.Series) -> list[str]:
    """Return the keys without a column in which the overrides of runs differ."""
    values: dict[str, set[str]] = defaultdict(set)
    runs: dict[str, int] = defaultdict(int)
    for text in overrides.dropna().map(str):
        for key, value in dict(KEY.findall(text)).items():
            values[key].add(value)
            runs[key] += 1
    return [key for key in values if key not in SIZES and (len(values[key]) > 1 or runs[key] < len(overrides))]


def setting(config: Mapping[str, Any] | None, key: str) -> str | float | None:
    """Return the value of a key in a config: a number, or text; None where it has none."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, str):
        return value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else json.dumps(value)


def without_constants(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns of settings that have one value in all runs."""
    return table.drop(columns=[name for name in table.columns if is_swept(name) and table[name].nunique() < 2])
