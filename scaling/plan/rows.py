"""The rows of plan.csv and forecast.csv as text, for commands that need no config."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from scaling.errors import UserError
from scaling.folders import SweepFolder, exists
from scaling.security.reading import read_bytes


class BrokenPlan(UserError):
    """A plan.csv that cannot be read."""


def read_rows(folder: SweepFolder) -> list[dict[str, str]]:
    """Read plan.csv as text, [] if there is none; BrokenPlan if it is damaged."""
    if not exists(folder.plan):
        return []
    try:
        rows = list(csv.DictReader(_lines(folder)))
        whole = all(row["run_id"] and float(row["C"]) >= 0 for row in rows)
    except (KeyError, TypeError, ValueError, csv.Error):
        whole = False
    if not whole or not rows:
        raise broken_plan(folder)
    return rows


def broken_plan(folder: SweepFolder) -> BrokenPlan:
    """Return the error for a damaged plan.csv."""
    return BrokenPlan(
        f"found {folder.plan}, which is not a whole plan; wanted one row a run; give the sweep's `scaling run` "
        f"again, which writes it anew"
    )


def read_columns(folder: SweepFolder, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Read some columns of plan.csv as text, "" if there is no such column; BrokenPlan if it is damaged."""
    found: list[tuple[str, ...]] = []
    try:
        rows = csv.reader(_lines(folder))
        head = next(rows, [])
        places = [head.index(name) if name in head else len(head) for name in names]
        pick = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        for row in rows:
            if len(row) != len(head):
                raise ValueError("a row is cut")
            found.append(pick([*row, ""]))
    except (ValueError, csv.Error):
        raise broken_plan(folder) from None
    if not found or not {"run_id", "C"} <= set(head):
        raise broken_plan(folder)
    return found


def _lines(folder: SweepFolder) -> io.StringIO:
    return io.StringIO(read_bytes(folder.plan).decode(), newline="")


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with the union of their keys as columns; None is an empty cell."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
