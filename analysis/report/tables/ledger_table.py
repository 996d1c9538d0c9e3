"""The forecasts of a sweep's rounds against their results, as a table of a report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.errors import attempt
from analysis.estimates.suggest.ledger import Ledger, read_ledger
from analysis.numbers import interval, measured, percent
from analysis.report.tables.text_table import TextTable
from analysis.wording import counted

STATES = {"missing": "not run yet"}
HEADS = ("round", "id", "run", "forecast", "interval", "came out", "off by", "inside")


def ledger_table(source: Path, table: pd.DataFrame) -> TextTable | None:
    """Tabulate each forecast run and its result; None where the sweep has no rounds."""
    if not (source / "rounds").is_dir() or "run_id" not in table.columns:
        return None
    found, _ = attempt(lambda: read_ledger(source, table))
    if found is None:
        return None
    return TextTable(
        "ledger",
        "Forecasts made before the runs, and their results",
        HEADS,
        ledger_rows(found),
        (3, 5, 6),
        summary(found),
    )


def ledger_rows(found: Ledger) -> tuple[tuple[str, ...], ...]:
    """Return the cells of a ledger, one row per run."""
    rows = []
    for run in found.runs:
        came_out = STATES.get(run.status, run.status) if run.error is None else measured(run.actual)
        off_by = "" if run.error is None else percent(run.error)
        inside = "" if run.inside is None else "yes" if run.inside else "no"
        ends = interval(run.interval, measured)
        rows.append((run.round, run.run_id, run.label, measured(run.forecast), ends, came_out, off_by, inside))
    return tuple(rows)


def summary(found: Ledger) -> str:
    """Describe in a sentence the coverage and the error of the forecasts."""
    if found.inside is None or found.error is None:
        return "None of these runs has finished."
    runs, level = counted(len(found.scored), "run"), percent(found.level)
    return (
        f"{percent(found.inside)} of {runs} came out inside their {level} interval; rms error {percent(found.error)}."
    )
