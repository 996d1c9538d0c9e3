"""The commands of the analysis. Heavy imports wait until a command runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from analysis.commands.allocate import allocate
from analysis.commands.bundle import bundle
from analysis.commands.choose import choose
from analysis.commands.compare import compare
from analysis.commands.forecast import forecast
from analysis.commands.import_runs import import_runs
from analysis.commands.ledger import ledger
from analysis.commands.tuned import tuned
from analysis.errors import UserError
from analysis.options import (
    FILE,
    OBJECTIVE,
    SETTINGS,
    LawOption,
    TableChoice,
    X,
    Y,
    answer,
    column_options,
    fit_options,
    interval_options,
    json_option,
    known_options,
    table_options,
)
from analysis.typed import where_option, words


@click.command(context_settings=SETTINGS, epilog="\b\nExample:\n  scaling fit results/quickstart --law chinchilla")
@table_options
@fit_options
@interval_options
@click.option("--multiverse", is_flag=True, help="Repeat the fit under every convention of N and C in the table.")
@click.option("--card", is_flag=True, help="Print the fit's card: everything needed to reproduce the same digits.")
@json_option
def fit(chosen: TableChoice, multiverse: bool, card: bool, json_path: str | None, **options: Any) -> None:
    """Fit a scaling law to TABLE (a results folder, csv, parquet or jsonl), with intervals and a certificate."""
    from analysis.console import working
    from analysis.estimates.multiverse import multiverse as vary
    from analysis.fitting.fit import fit as fit_law
    from analysis.terminal import show_card, show_fit, show_multiverse

    table = chosen.table()
    with working(f"fitting {options['law']} to {len(table):,} rows …"):
        law = fit_law(table, **options, **chosen.selection)
    if options["law"] == "auto":
        options["law"] = law.law
    worlds = vary(table, found=law, **options, **chosen.selection) if multiverse else None
    content = law.to_dict() | ({"multiverse": worlds.to_dict()} if worlds else {})

    def show() -> None:
        (show_card if card else show_fit)(law)
        if worlds:
            show_multiverse(worlds, law.engine.problem.law)

    answer(content, json_path, show)


@click.command(context_settings=SETTINGS, epilog="\b\nExample:\n  scaling frontier results/quickstart --rule hull")
@table_options
@Y
@click.option("--x", default="C", show_default=True, metavar="COLUMN", help="The column of the cost.")
@click.option("--rule", type=click.Choice(["envelope", "pareto", "hull"]), default="envelope", show_default=True,
              help="envelope: the best of each budget or bin; pareto: no run is better and cheaper; hull: lower convex "
              "hull in log-log.")  # fmt: skip
@click.option("--law", default="power", show_default=True, metavar="LAW", help="The law of the frontier, or none.")
@click.option("--objective", type=OBJECTIVE, default="lsq", show_default=True,
              help="Objective of the law. The points are means, so the default is least squares.")  # fmt: skip
@known_options
@interval_options
@json_option
def frontier(
    chosen: TableChoice,
    y: str,
    x: str,
    rule: str,
    law: str,
    objective: str,
    fix: dict[str, float],
    tie: dict[str, str],
    json_path: str | None,
    **options: Any,
) -> None:
    """Find the best runs at each compute, and fit a law to them."""
    from analysis.estimates.frontier import frontier as find
    from analysis.estimates.frontier_law import fit_frontier
    from analysis.terminal import show_frontier

    if law == "none" and (fix or tie):
        raise UserError("found --fix or --tie with --law none; wanted the law whose parameters they are; name it")
    rows, left_out = chosen.rows(y, (x,))
    found = find(rows, y=y, x=x, rule=rule, **options)
    fitted = None if law == "none" else fit_frontier(found, law, objective=objective, fix=fix, tie=tie, **options)
    content = {**found.to_dict(), "left_out": left_out, "fit": fitted.to_dict() if fitted else None}
    answer(content, json_path, lambda: show_frontier(found, fitted))


@click.command(context_settings=SETTINGS, epilog="\b\nExample:\n  scaling isoflop results/quickstart --y error")
@table_options
@Y
@click.option("--shape", type=click.Choice(["parabola", "chinchilla"]), default="parabola", show_default=True,
              help="The curve of each budget: a parabola in log N with one skew, or the law fitted.")  # fmt: skip
@interval_options
@json_option
def isoflop(chosen: TableChoice, y: str, json_path: str | None, **options: Any) -> None:
    """Find the best size at each compute budget, and fit the law N*(C) to those inside the grid."""
    from analysis.estimates.isoflop import isoflop as find
    from analysis.terminal import show_isoflop

    rows, left_out = chosen.rows(y)
    found = find(rows, y=y, **options)
    answer({**found.to_dict(), "left_out": left_out}, json_path, lambda: show_isoflop(found))


@click.command(context_settings=SETTINGS, epilog="\b\nExample:\n  scaling backtest results/quickstart --by C")
@table_options
@click.option(
    "--law",
    "laws",
    cls=LawOption,
    multiple=True,
    metavar="LAW,…",
    help="The laws to compare: {laws}, or module:NAME.  [those of N and D if the table has both, else those of one "
    "variable]",
)
@Y
@X
@click.option(
    "--by",
    metavar="C|N|D|COLUMN",
    help="Fit the laws to the runs that are small in this column, and predict the large ones.  [C or, without it, D]",
)
@known_options
@partial(interval_options, resamples=200)  # the share of runs inside an interval needs no more
@json_option
def backtest(chosen: TableChoice, laws: Sequence[str], json_path: str | None, **options: Any) -> None:
    """Leave out the largest runs, and rank laws by how well they predict them."""
    from analysis.console import working
    from analysis.estimates.backtest import backtest as test
    from analysis.laws import get_law
    from analysis.terminal import show_backtest

    tried = [get_law(name) for name in words(laws)]
    with working("fitting laws to the smaller runs …"):
        found = test(chosen.table(), tried, **options, **chosen.selection)
    answer(found.to_dict(), json_path, lambda: show_backtest(found))


REPORT_EXAMPLES = """\b
Examples:
  scaling report results/quickstart
  scaling report mine.csv --columns N="Model Size",C="Training FLOP" --derive "D = C/(6*N)"
"""


@click.command(context_settings=SETTINGS, epilog=REPORT_EXAMPLES)
@click.argument("source", metavar="results/NAME|TABLE", type=FILE)
@click.option("-o", "--out", metavar="DIR", help="Write to DIR instead of the results folder.")
@column_options
@where_option("Rows to use.")
@click.option("--pool", multiple=True, metavar="COLUMN,…", help="Columns whose kinds of runs are fitted together.")
@click.option("--task", "tasks", multiple=True, metavar="TASK,…", help="Only these tasks of stages.  [all]")
@click.option("--figures", is_flag=True, help="Also save each figure: figures/NAME.png, .pdf and .svg.")
@known_options
@interval_options
@json_option
def report(
    chosen: TableChoice,
    out: str | None,
    where: str | None,
    pool: Sequence[str],
    tasks: Sequence[str],
    figures: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Fit, draw and write one self-contained HTML page. The last line printed is its path.

    If stages made a table of several tasks, the page compares the tasks and has a part for each.
    """
    quiet = json_path == "-"
    with _rare_garbage_collection():
        from analysis.report.law_results import LawOptions
        from analysis.report.page import write_report
        from analysis.table.remarks import with_pooled
        from analysis.table.select import rows_where

        written = write_report(
            chosen.source,
            table=with_pooled(rows_where(chosen.table(), where), words(pool)),
            again=chosen.options(where),
            out=out,
            tasks=words(tasks),
            law_options=LawOptions(**options),
            figures=figures,
            say=lambda text: None if quiet else click.echo(f"{text} …", err=True),
        )
    earlier = written.page.with_name("figures")
    if not (figures or quiet) and earlier.is_dir():
        click.echo(f"{earlier} is of an earlier report; --figures saves it again", err=True)
    answer(written.to_dict(), json_path, lambda: click.echo(str(written.page)))


@click.command(context_settings=SETTINGS, epilog="\b\nExample:\n  scaling collect results/quickstart -o table.csv")
@click.argument("sources", metavar="results/NAME…", type=FILE, nargs=-1, required=True)
@click.option("-o", "--out", metavar="FILE", help="table.csv, .parquet or .jsonl.  [results/NAME/table.parquet]")
@json_option
def collect(sources: Sequence[str], out: str | None, json_path: str | None) -> None:
    """Write the table of one or several sweeps, with one row for each run and milestone."""
    from analysis.table.read import concatenate, load_table
    from analysis.table.select import last_rows
    from analysis.table.write import write_table
    from analysis.wording import counted

    if out is None and len(sources) > 1:
        raise UserError(f"found {len(sources)} folders and no output file; wanted -o FILE")
    if out is None and Path(sources[0]).is_file():
        raise UserError(f"found {sources[0]}, which is no folder, and no output file; wanted -o FILE")
    table = concatenate({source.rstrip("/"): load_table(source) for source in sources})
    target = out or f"{sources[0]}/table.parquet"
    write_table(table, target)
    ends = last_rows(table)
    status = ends["status"].value_counts().to_dict() if "status" in ends.columns else {}
    counts = ", ".join(f"{n} {word}" for word, n in status.items())
    content = {"path": target, "rows": len(table), "runs": len(ends), "status": status, "columns": list(table.columns)}
    text = f"{counted(len(table), 'row')} of {counted(len(ends), 'run')}{f' ({counts})' if counts else ''} in {target}"
    answer(content, json_path, lambda: click.echo(text))


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Run the garbage collector less often: going through all that is imported and drawn is a tenth of a report."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


COMMANDS: dict[str, click.Command] = {
    "fit": fit,
    "frontier": frontier,
    "isoflop": isoflop,
    "allocate": allocate,
    "forecast": forecast,
    "backtest": backtest,
    "tuned": tuned,
    "choose": choose,
    "compare": compare,
    "ledger": ledger,
    "report": report,
    "collect": collect,
    "import": import_runs,
    "bundle": bundle,
}
"""Every command by its verb."""


@click.group(
    commands=COMMANDS,
    context_settings=SETTINGS,
    epilog="\b\nExample:\n  python -m analysis fit table.csv --law power --x C",
)
def cli() -> None:
    """Laws, forecasts and figures from a table of training runs."""
