"""`scaling import`: runs that were trained elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis.errors import printable
from analysis.options import FILE, SETTINGS, TableChoice, answer, column_options, json_option
from analysis.typed import where_option

if TYPE_CHECKING:
    from analysis.imports.runs import Imported

EXAMPLES = """\b
Examples:
  scaling import theirs.csv --as theirs --columns N="Model Size",C="Training FLOP" --derive "D = C/(6*N)"
  scaling import wandb/ --as theirs --derive "C = 6*N*D"
  scaling compare results/theirs --with results/mine
"""


@click.command("import", context_settings=SETTINGS, epilog=EXAMPLES)
@click.argument("source", metavar="TABLE|DIR", type=FILE)
@click.option("--as", "name", metavar="NAME", required=True, help="The folder to make: results/NAME.")
@column_options
@where_option("Rows to import.")
@click.option("--run-column", metavar="COLUMN|none",
              help="Column that names the run, if rows are milestones; none: each row is a run.")  # fmt: skip
@click.option("--results", metavar="DIR", default="results", show_default=True, help="The results folder.")
@json_option
def import_runs(
    chosen: TableChoice, name: str, where: str | None, run_column: str | None, results: str, json_path: str | None
) -> None:
    """Make results/NAME from runs trained elsewhere: TABLE (csv, parquet, json, xlsx, W&B's CSV) or a DIR of W&B runs.

    collect, fit, report, compare and others then read it like your own sweeps. The column trained marks its runs,
    which are pooled with yours only with --pool trained. Incomplete or contradictory rows are refused by line. Rows
    of runs that did not finish are left out and counted. The same import again changes nothing.
    """
    from analysis.imports.folder import check_name, write_sweep
    from analysis.imports.runs import runs_of
    from analysis.imports.source import read_source
    from analysis.table.recognise.units import doubtful_units
    from analysis.table.remarks import remarks_of
    from analysis.table.select import rows_where

    name = check_name(name)
    source = read_source(Path(chosen.source).expanduser())
    table = rows_where(chosen.prepared(source.table), where)
    imported = runs_of(source, table, run_column=run_column)
    asked = {"options": chosen.options(where), "run_column": run_column}
    facts = {"table": source.name, "sha256": source.sha256, **asked}
    new = write_sweep(imported, Path(results).expanduser(), name, facts)
    folder, points = f"{results.rstrip('/')}/{name}", imported.n_points
    remarks = [*remarks_of(table, mixed=False), *doubtful_units(table)]
    content: dict[str, Any] = {"path": folder, **facts, "runs": len(imported.runs), "milestones": points, "new": new}
    content |= {"left_out": list(imported.left_out), "remarks": remarks}
    lines = [_head(imported, folder, new=new), *(f"left out: {text}" for text in imported.left_out)]
    lines += [f"note: {text}" for text in remarks] + [f"next: scaling report {shlex.quote(folder)}"]
    answer(content, json_path, lambda: click.echo(printable("\n".join(lines))))


def _head(imported: Imported, folder: str, *, new: bool) -> str:
    """Return the sentence on what was imported. new: whether anything was written."""
    from analysis.wording import counted

    ask = f" (by the column {imported.run_column}; --run-column none where each row is a run)"
    several = imported.n_points > len(imported.runs)
    milestones = f" with {counted(imported.n_points, 'milestone')}{ask}" if several else ""
    before = "" if new else ", as before: nothing was changed"
    return f"{counted(len(imported.runs), 'run')}{milestones} in {folder}{before}"
