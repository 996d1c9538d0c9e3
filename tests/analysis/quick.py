"""Fits from a quarter of the usual starts, which is half the work; `test_limits` and `test_published` take them all."""

from __future__ import annotations

from typing import Any

import pandas as pd

import analysis
from analysis import Fit

FEW: dict[str, Any] = {"starts": 16}


def fit(table: pd.DataFrame, law: str = "chinchilla", **options: Any) -> Fit:
    """Fit as a user does, from `FEW` starts."""
    return analysis.fit(table, law, **{**FEW, **options})
