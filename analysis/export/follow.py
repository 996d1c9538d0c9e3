"""Export a sweep while it runs: new data are added until all runs have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from analysis.export.runs import Writer, artifacts, exported
from analysis.table.read import load_table
from analysis.table.results import find_runs, read_logs

RESTS = 4.0
"""Times of what the last look took, before the next one."""

LEAST_SECONDS = 2.0


def follow(source: Path, writer: Writer, rest: Callable[[float, int], bool]) -> int:
    """Write what is new of a sweep until `rest` says that this is the end; return how many runs are settled.

    rest: waits for so many seconds while so many runs are left, and returns whether this is the end, before which is
    looked once more.
    """
    done: set[str] = set()
    last = False
    while True:
        began = time.monotonic()
        left = look(source, writer, done)
        if last:
            writer.close(artifacts(source))
            return len(done)
        last = rest(max(LEAST_SECONDS, RESTS * (time.monotonic() - began)), left)


def look(source: Path, writer: Writer, done: set[str]) -> int:
    """Write what is new of the runs that are not done; add those that are settled to them.

    Returns how many runs are left; one that failed is not, though it may be tried again.
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
