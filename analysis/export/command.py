"""`scaling export`: the runs of a sweep for other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import click

from analysis.options import FILE, SETTINGS, answer, json_option

EPILOG = """\b
Examples:
  scaling export results/quickstart --to tensorboard
  scaling export results/quickstart --to wandb -o mirrored
  scaling export results/mine --to mlflow --follow       while it runs; `scaling run … mirror=mlflow` does so by itself
"""
NEXT = {
    "wandb": "wandb sync {into}/wandb/offline-run-*",
    "tensorboard": "tensorboard --logdir {into}/{name}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{into}/mlflow.db",
}
"""The command that shows the output in each tool."""


@click.command(context_settings=SETTINGS, epilog=EPILOG)
@click.argument("source", metavar="results/NAME", type=FILE)
@click.option("--to", "target", type=click.Choice(sorted(NEXT)), required=True, help="The tool.")
@click.option("-o", "--out", metavar="DIR", help="Output folder.  [results/NAME/export/TOOL]")
@click.option("--follow", is_flag=True, help="Keep adding new data until all runs of the sweep have ended.")
@click.option("--until-stdin-ends", "held", is_flag=True, hidden=True)
@json_option
def export(source: str, target: str, out: str | None, follow: bool, held: bool, json_path: str | None) -> None:
    """Write the runs of a sweep in another tool's offline format: curves, configs, final numbers, fits as artifacts.

    This needs the tool itself: pip install 'scaling[wandb]', 'scaling[tensorboard]' or 'scaling[mlflow]'.
    """
    from analysis.export.follow import follow as write_as_they_come
    from analysis.export.runs import artifacts, exported, write_all
    from analysis.export.writers import writer_of
    from analysis.table.read import load_table
    from analysis.table.results import find_runs, read_logs
    from analysis.wording import counted

    folder = Path(source)
    into = Path(out) if out else folder / "export" / target
    name = folder.resolve().name
    table = load_table(source)
    writer = writer_of(target, into, name)
    if follow:
        n = write_as_they_come(folder, writer, _rest(until_stdin_ends=held))
    else:
        runs = find_runs(folder) if folder.is_dir() else None
        settled = table.loc[table["step"].notna(), "run_id"] if {"step", "run_id"} <= set(table.columns) else ()
        logs = read_logs(runs, list(dict.fromkeys(map(str, settled)))) if runs else {}
        n = write_all(writer, exported(table, logs), artifacts(folder))
    then = NEXT[target].format(into=into, name=name)
    content = {"to": target, "path": str(into), "runs": n, "next": then}
    answer(content, json_path, lambda: click.echo(f"{counted(n, 'run')} in {into}; next: {then}"))


def _rest(*, until_stdin_ends: bool) -> Callable[[float, int], bool]:
    """Return a function (seconds, runs left) that waits and returns whether to stop.

    To stop at: the end of stdin, if that was asked for, else when no run is left; and Ctrl-C.
    """
    ended = Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()

    if until_stdin_ends:
        Thread(target=read, daemon=True).start()

    def rest(seconds: float, left: int) -> bool:
        if not left and not until_stdin_ends:
            return True
        try:
            return ended.wait(seconds)
        except KeyboardInterrupt:
            return True

    return rest
