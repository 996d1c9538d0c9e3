"""`scaling status`: how far a sweep is."""

from __future__ import annotations

import click

from scaling.commands.options import json_option, sweep_folder, write_json

EPILOG = """\b
Examples:
  scaling status results/quickstart
  scaling status results/quickstart --watch
  scaling status results/quickstart --json -
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="results/NAME")
@click.option("--all", "every", is_flag=True, help="Print every run, settled ones too.")
@click.option("--watch", is_flag=True, help="Look again every two seconds until Ctrl-C or until all is settled.")
@json_option
def status(folder: str, every: bool, watch: bool, json_path: str | None) -> None:
    """Show how many runs are finished, running, pending, failed, diverged, and the time left."""
    from scaling.dispatch.state import read_status

    sweep = sweep_folder(folder)
    if json_path is not None:
        write_json(read_status(sweep).to_json(), json_path)
        if json_path == "-":
            return
    from rich.console import Console

    from scaling.dispatch.show import print_status, watch_status

    if watch:
        watch_status(Console(), sweep)
    else:
        print_status(Console(), read_status(sweep), every=every)
