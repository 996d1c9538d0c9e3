"""The rows of plan.csv and forecast.csv as text, for commands that need no config."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scaling.errors import UserError
from scaling.folders import SweepFolder


class BrokenPlan(UserError):
    """A plan.csv that cannot be read."""


def read_rows(folder: SweepFolder) -> list[dict[str, str]]:
    """Read plan.csv as text, an empty list where there is none; BrokenPlan where it is damaged."""
    if not folder.plan.exists():
        return []
    try:
        with folder.plan.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        whole = all(row["run_id"] and float(row["C"]) >= 0 for row in rows)
    except (KeyError, TypeError, ValueError, csv.Error):
        whole = False
    if not whole or not rows:
        raise BrokenPlan(
            f"found {folder.plan}, which is not a whole plan; wanted one row a run; give the sweep's `scaling run` "
            f"again, which writes it anew"
        )
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows of equal keys as CSV; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
