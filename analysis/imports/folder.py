"""Imported runs on disk: results/NAME/plan.csv and results/runs/RUN_ID/record.json, as for a sweep."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from analysis.errors import UserError
from analysis.files import write_atomically
from analysis.imports.runs import Imported, ImportedRun
from analysis.table.results import DATA, SCHEMA

FACTS = "import.json"
"""The file that names the source of an imported sweep."""
COUNTS = ("N", "D", "C", "C_counted", "epochs", "D_unique")
"""Columns that become counts of a run's record."""
SHARED = ("runs", "features")
"""Folders that all sweeps in the same results folder share."""


def check_name(name: str) -> str:
    """Return the name of a folder inside the results, or raise `UserError`."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or parts[0] in SHARED or "\\" in name:
        raise UserError(f"found --as {name}; wanted the name of a folder inside the results; choose another")
    return "/".join(parts)


def write_sweep(imported: Imported, results: Path, name: str, facts: Mapping[str, Any]) -> bool:
    """Write the runs as results/NAME; return False if all files existed and nothing was changed.

    facts: the source of the runs; equal facts mean the same import. Raises `UserError` if NAME is another sweep.
    """
    folder = results / name
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    _refuse_other(folder, text)
    if not results.is_dir():
        results.mkdir(parents=True, mode=0o700)
    runs = [run for run in imported.runs if not (results / "runs" / run.run_id / "record.json").exists()]
    for run in runs:
        place = results / "runs" / run.run_id
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / "record.json", json.dumps(_record_of(run, facts), indent=1, allow_nan=False) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "plan.csv").exists():
        return bool(runs)
    write_atomically(folder / FACTS, text)
    write_atomically(folder / "plan.csv", _plan_of(imported, facts))
    return True


def _refuse_other(folder: Path, text: str) -> None:
    known = folder / FACTS
    if known.is_file() and known.read_text(encoding="utf-8") != text:
        was = json.loads(known.read_text(encoding="utf-8")).get("table")
        raise UserError(
            f"found {folder}, imported from {was} with other content, columns or rows; wanted a new name for another "
            f"table: --as NAME"
        )
    if not known.is_file() and folder.exists() and any(path.name[0] != "." for path in folder.iterdir()):
        raise UserError(f"found {folder}, which was not imported; wanted a new name: --as NAME")


def _record_of(run: ImportedRun, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's record: like one of our runs, with an empty config, and the table and line in `how`."""
    whole = {**run.points[-1], **run.columns}
    counts = {key: whole[key] for key in COUNTS if whole.get(key) is not None}
    return {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "status": "diverged" if run.diverged else "finished",
        "flags": [],
        "config": {},
        "counts": counts,
        "data": dict.fromkeys(DATA),
        "points": list(run.points),
        "descent": {},
        "content": {},
        "how": {"trained": "elsewhere", "table": facts["table"], "sha256": facts["sha256"], "line": run.line},
    }


def _plan_of(imported: Imported, facts: Mapping[str, Any]) -> str:
    """Return plan.csv: one row per run, with all columns of the table."""
    first = ("run_id", "overrides", "trained", "N", "D", "C")
    others = dict.fromkeys(key for run in imported.runs for key in run.columns if key not in first)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*first, *others], lineterminator="\n")
    writer.writeheader()
    for run in imported.runs:
        last, own = run.points[-1], {"run_id": run.run_id, "overrides": run.label}
        writer.writerow(
            {**run.columns, **own, "trained": f"elsewhere: {facts['table']}", "D": last["D"], "C": last["C"]}
        )
    return text.getvalue()
