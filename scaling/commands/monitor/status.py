"""`scaling status`: the progress of a sweep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import as_typed, json_option, sweep_folder, terminal, write_json

if TYPE_CHECKING:
    from scaling.dispatch.states.state import Status
    from scaling.folders import SweepFolder
    from scaling.terminal_table import Terminal

WATCH_SECONDS = 2.0  # least seconds between two reads
SPARE = 20  # least pause between two reads, in units of the time that a read takes

EPILOG = """\b
Examples:
  scaling status results/quickstart
  scaling status results/quickstart --watch
  scaling status results/quickstart --json -
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@click.option("--all", "every", is_flag=True, help="Print all runs, including settled ones.")
@click.option("--watch", is_flag=True, help="Update until nothing runs or waits; Ctrl-C ends it.")
@json_option
def status(folder: str, every: bool, watch: bool, json_path: str | None) -> None:
    """Show how many runs are finished, running, pending, failed or diverged, and the time left."""
    from scaling.dispatch.states.read_state import read_status

    sweep = sweep_folder(folder)
    if json_path is not None:
        write_json(read_status(sweep).to_dict(), json_path)
        if json_path == "-":
            return
    from scaling.dispatch.show import print_status

    console = terminal()
    if watch:
        watch_sweep(console, sweep)
    print_status(console, read_status(sweep), every=every, folder=as_typed(sweep.path))


def watch_sweep(console: Terminal, sweep: SweepFolder) -> Status:
    """Show the sweep until no run is running or waiting, and return its last status."""
    from scaling.dispatch.show import view
    from scaling.dispatch.states.read_plan import read_plan
    from scaling.dispatch.states.read_state import Reader
    from scaling.dispatch.states.state import State

    reader = Reader(sweep, read_plan(sweep))
    with view(console, as_typed(sweep.path)) as shown:
        while True:
            began = time.monotonic()
            seen = reader.read_with_trouble()
            took = time.monotonic() - began
            shown.update(seen)
            if not seen.of(State.RUNNING, State.PENDING):
                return seen
            time.sleep(max(WATCH_SECONDS, SPARE * took))
