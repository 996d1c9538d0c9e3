"""`scaling ledger`: forecasts made before the runs, compared with their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from analysis.options import FILE, SETTINGS, answer, json_option

if TYPE_CHECKING:
    from analysis.estimates.suggest.ledger import Ledger

EXAMPLE = "\b\nExample:\n  scaling ledger results/quickstart"


@click.command(context_settings=SETTINGS, epilog=EXAMPLE)
@click.argument("results", metavar="results/NAME", type=FILE)
@json_option
def ledger(results: str, json_path: str | None) -> None:
    """Show the forecasts made before the runs of each round, and their results."""
    from analysis.estimates.suggest.ledger import read_ledger

    found = read_ledger(results)
    answer(found.to_dict(), json_path, lambda: show_ledger(found))


def show_ledger(found: Ledger) -> None:
    """Print forecasts with their results, and the share within the intervals, round by round."""
    from analysis.console import console
    from analysis.numbers import percent
    from analysis.report.tables.ledger_table import HEADS, ledger_rows, summary
    from analysis.terminal_table import table

    out = console()
    heads, *rows = ((line[2], *line[:2], *line[3:]) for line in (HEADS, *ledger_rows(found)))  # the run names a row
    out.print(table(heads, rows, right=[3, 5, 6], whole=[0]))
    for name, runs, share in found.over_time():
        out.print(f"up to round {int(name)}: {percent(share)} of {runs} inside")
    out.print(summary(found))
