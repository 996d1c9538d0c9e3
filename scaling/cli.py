"""The command line: its verbs, each loaded only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from scaling import __version__
from scaling.errors import suggestion

VERBS = {  # verb: (where it lives, one line of help)
    "plan": ("scaling.commands.plan:plan", "Print the runs of a sweep with N, D, C and cost; start nothing."),
    "run": ("scaling.commands.run:run", "Train the unfinished runs of a sweep, or one run, here or on SLURM."),
    "tune": ("scaling.commands.tuning.tune:tune", "Find the best learning rate for each size and length of a sweep."),
    "probe": ("scaling.commands.probe:probe", "Measure the speed of this device, for forecasts."),
    "measure": ("scaling.commands.tools.measure:measure", "Time the models of a sweep at inference."),
    "status": ("scaling.commands.monitor.status:status", "Show the progress of a sweep."),
    "watch": ("scaling.commands.monitor.watch:watch", "Show a sweep in a browser while it runs."),
    "cancel": ("scaling.commands.control.runs:cancel", "Stop a sweep or some of its runs."),
    "pause": ("scaling.commands.control.pause:pause", "Pause a sweep, here and on SLURM."),
    "resume": ("scaling.commands.control.pause:resume", "Continue a paused sweep."),
    "first": ("scaling.commands.control.first:first", "Train some runs of a sweep before all others."),
    "retry": ("scaling.commands.control.runs:retry", "Try failed or cancelled runs again."),
    "logs": ("scaling.commands.control.runs:logs", "Show the attempts, evaluations and log of a run."),
    "clean": ("scaling.commands.tools.clean:clean", "Remove files of a sweep that are no longer needed."),
    "data": ("scaling.commands.data:data", "Show where data sets are, and prepare them."),
    "schema": ("scaling.commands.tools.schema:schema", "Write JSON schemas of sweeps and configs, for editors."),
    "doctor": ("scaling.commands.tools.doctor:doctor", "Check this machine: devices, SLURM, data sets, write access."),
    "import": ("analysis.cli:import_runs", "Import runs that were trained elsewhere."),
    "collect": ("analysis.cli:collect", "Write the table of a sweep."),
    "fit": ("analysis.cli:fit", "Fit a scaling law with intervals."),
    "frontier": ("analysis.cli:frontier", "Find the compute-optimal frontier and its law."),
    "isoflop": ("analysis.cli:isoflop", "Find the best size for each compute budget."),
    "allocate": ("analysis.cli:allocate", "Compute how to split compute between N and D."),
    "forecast": ("analysis.cli:forecast", "Predict the loss at a target, with an interval."),
    "suggest": ("scaling.commands.rounds.suggest:suggest", "Suggest what to run next, and write a sweep file."),
    "extend": (
        "scaling.commands.rounds.extend:extend",
        "Run the most informative runs, round by round, until a target is reached.",
    ),
    "ledger": ("analysis.cli:ledger", "Show how forecasts made before the runs turned out."),
    "compare": ("analysis.cli:compare", "Compare A and B: how much less compute does B need?"),
    "choose": ("analysis.cli:choose", "Choose the most informative runs for their cost from a table of candidates."),
    "backtest": ("analysis.cli:backtest", "Rank laws by how well they predict the largest runs."),
    "tuned": ("analysis.cli:tuned", "Find the best value of a tuned key at each size and length, and its law."),
    "export": ("analysis.export.command:export", "Write the runs for W&B, TensorBoard or MLflow."),
    "bundle": ("analysis.cli:bundle", "Put a sweep into one archive for publication."),
    "report": ("analysis.cli:report", "Draw the figures and write one HTML page."),
}


class Verbs(click.Group):
    """A group that imports a verb's module only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of their use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb."""
        if name not in VERBS:
            return None
        module, _, attribute = VERBS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb; UsageError suggests the nearest name if there is none."""
        if args[0] not in VERBS:
            raise click.UsageError(f"found the unknown verb {args[0]!r}; {suggestion(args[0], VERBS)}")
        return super().resolve_command(ctx, args)


EPILOG = """\b
Example:
  scaling plan sweep=quickstart          show runs and cost
  scaling run sweep=quickstart           train it
  scaling report results/quickstart      fit, draw, write a page
"""


@click.group(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="scaling")
def cli() -> None:
    """From one YAML file to a scaling law you can trust.

    Overrides are Hydra's: GROUP=NAME, KEY=VALUE, KEY=a,b,c; `sweep=NAME` reads sweeps/NAME.yaml.
    """
