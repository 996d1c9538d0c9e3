"""`scaling export`: the runs of a sweep for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from analysis.options import answer, json_option

EPILOG = """\b
Examples:
  scaling export results/quickstart --to tensorboard
  scaling export results/quickstart --to wandb -o mirrored
"""
NEXT = {
    "wandb": "wandb sync {into}/wandb/offline-run-*",
    "tensorboard": "tensorboard --logdir {into}/{name}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{into}/mlflow.db",
}
"""What one does with what was written."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.argument("source", metavar="results/NAME")
@click.option("--to", "target", type=click.Choice(sorted(NEXT)), required=True, help="The tool.")
@click.option("-o", "--out", metavar="DIR", help="Where to write (results/NAME/export/TOOL).")
@json_option
def export(source: str, target: str, out: str | None, json_path: str | None) -> None:
    """Write the runs of a sweep in another tool's offline format: curves, config, final numbers, fits as artifacts.

    The tool itself writes: pip install 'scaling[wandb]', 'scaling[tensorboard]' or 'scaling[mlflow]'.
    """
    from analysis.export.mlflow import write_mlflow
    from analysis.export.runs import artifacts, exported
    from analysis.export.tensorboard import write_tensorboard
    from analysis.export.wandb import write_wandb
    from analysis.table.read import load_table
    from analysis.wording import counted

    write: Any = {"wandb": write_wandb, "tensorboard": write_tensorboard, "mlflow": write_mlflow}[target]
    folder = Path(source)
    into = Path(out) if out else folder / "export" / target
    name = folder.resolve().name
    n = write(exported(load_table(source)), artifacts(folder), into, name)
    then = NEXT[target].format(into=into, name=name)
    content = {"to": target, "path": str(into), "runs": n, "next": then}
    answer(content, json_path, lambda: click.echo(f"{counted(n, 'run')} in {into}; next: {then}"))
