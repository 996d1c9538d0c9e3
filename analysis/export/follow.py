"""Export a sweep while it runs: new data are added until all runs have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from analysis.export.runs import Writer, artifacts, exported
from analysis.table.read import load_table
from analysis.table.results import find_runs, read_logs

RESTS = 4.0
"""Pause between two reads, as a multiple of the time that the last one took."""

LEAST_SECONDS = 2.0
"""Minimum pause."""


def follow(source: Path, writer: Writer, rest: Callable[[float, int], bool]) -> int:
    """Write new data of a sweep until `rest` returns true, and then once more; return the number of settled runs.

    rest: waits, given the seconds and the number of runs left, and returns whether to stop.
    """
    done: set[str] = set()
    last = False
    while True:
        began = time.monotonic()
        left = _write_new(source, writer, done)
        if last:
            writer.close(artifacts(source))
            return len(done)
        last = rest(max(LEAST_SECONDS, RESTS * (time.monotonic() - began)), left)


def _write_new(source: Path, writer: Writer, done: set[str]) -> int:
    """Write new data of the runs that are not in `done`, and add the settled ones to it.

    Returns the number of runs left; failed ones do not count, although they may be tried again.
    """
    table = load_table(source)
    table = table[~table["run_id"].isin(done)]
    runs = find_runs(source)
    logs = read_logs(runs, [str(run) for run in table["run_id"].unique()]) if runs else {}
    for run in exported(table, logs, now=time.time()):
        writer.write(run)
        if run.over:
            done.add(run.run_id)
    return int((table["status"] == "missing").sum())
