"""`scaling extend`: suggest, run, fit and suggest again, until what is asked for is known or the limit is reached."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import json_option, sweep_folder, terminal, trust_option, write_json
from scaling.commands.rounds.round_files import Round, keep_round, rounds
from scaling.commands.rounds.suggest import Wish, read_wish, suggest_round, wish_options
from scaling.numbers import cost

if TYPE_CHECKING:
    from rich.console import Console

    from scaling.folders import SweepFolder
    from scaling.record import Record

EPILOG = """\b
Example:
  scaling extend results/quickstart --target C=1e12 --until 0.005 --limit flops=2e11
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("results", metavar="results/NAME", shell_complete=complete_results)
@trust_option
@wish_options
@click.option("--until", type=click.FloatRange(0, min_open=True), required=True,
              help="Half-width, in the logarithm, of the interval at the target that is enough.")  # fmt: skip
@click.option("--rounds", "most_rounds", type=click.IntRange(1), default=100, show_default=True, help="At the most.")
@json_option
def extend(results: str, until: float, most_rounds: int, json_path: str | None, **asked: Any) -> None:
    """Run what tells most, round by round, until an interval is narrow enough or the limit is spent.

    Runs are trained where the sweep's were, here or on SLURM. Each round is kept before it is run
    (results/NAME/rounds), its forecasts too; killed and started again, the same command goes on with the round it was
    in. `scaling ledger results/NAME` says how the forecasts fared.
    """
    folder, console = sweep_folder(results), terminal(stderr=json_path == "-")
    wish, bounds = read_wish(asked)
    ended = ""
    while not ended:
        pending = next((one for one in own_rounds(folder) if one.outcome is None), None)
        if pending is None:
            pending, ended = next_round(folder, wish, bounds, until=until, most_rounds=most_rounds)
        if pending is not None:
            settle_round(folder, pending, wish.unit, console)
    console.print(ended, soft_wrap=True)
    if json_path is not None:
        kept = [{"round": one.path.name, **one.facts, "outcome": one.outcome} for one in own_rounds(folder)]
        write_json({"ended": ended, "spent": spent(folder, wish.unit), "unit": wish.unit, "rounds": kept}, json_path)


def own_rounds(folder: SweepFolder) -> list[Round]:
    """Return the rounds that this verb has made."""
    return [one for one in rounds(folder) if one.facts["by"] == "extend"]


def spent(folder: SweepFolder, unit: str) -> float:
    """Return what the rounds have cost: as priced, or as measured where that is more."""
    costs = [(one.facts["wish"]["unit"], one.facts["cost"], one.outcome or {}) for one in own_rounds(folder)]
    return float(sum(max(cost, outcome.get(unit) or 0.0) for kind, cost, outcome in costs if kind == unit))


def next_round(
    folder: SweepFolder, wish: Wish, bounds: Mapping[str, tuple[float, float]], *, until: float, most_rounds: int
) -> tuple[Round | None, str]:
    """Suggest the next round and keep it; or say why there is none."""
    made, before = len(own_rounds(folder)), spent(folder, wish.unit)
    if made >= most_rounds:
        return None, f"{made} rounds made, as many as asked for"
    left = wish.limit - before
    if left <= 0:
        return None, f"the limit is spent: {cost(before, wish.unit)} of {cost(wish.limit, wish.unit)}"
    out = Path(f"sweeps/{folder.name.replace('/', '-')}-next.yaml")
    try:
        found = suggest_round(folder, replace(wish, limit=left), bounds, left=left, out=out)
    except ValueError as refusal:  # of the analysis, in one sentence; before the first round it is the answer
        if not made:
            raise
        return None, f"no further run: {refusal}"
    now = found.facts["interval_now"]  # none where no law can be fitted yet
    if now is not None and now <= until:
        return None, f"known well enough: a half-width of {now:.3g}, where {until:g} was asked for"
    return keep_round(folder, found, by="extend"), ""


def settle_round(folder: SweepFolder, made: Round, unit: str, console: Console) -> None:
    """Train a round's runs and write down what came of them; exit with 1 where some failed, to be tried again."""
    from scaling.commands.run import execute
    from scaling.compose.session import session
    from scaling.plan.expand import expand

    made.put_sweep()
    console.print(f"round {int(made.path.name)}: {len(made.facts['runs'])} runs, {cost(made.facts['cost'], unit)}")
    with session() as loader:
        plan = expand(loader, [*shlex.split(made.facts["command"])[2:], f"results={folder.results}"])
    execute(plan, wait=True)
    made.end(outcome_of(folder, made))


def outcome_of(folder: SweepFolder, made: Round) -> dict[str, Any]:
    """Return what a round's runs gave: loss and status of each, and the device hours and FLOPs that they took."""
    from scaling.record import read_record

    records = {run_id: read_record(folder.run(run_id)) for run_id in made.facts["runs"]}
    found = {run_id: record for run_id, record in records.items() if record is not None}
    hours = sum(record.how.get("seconds") or 0.0 for record in found.values()) / 3600
    flops = float(sum(_trained(record) for record in found.values()))
    runs = {run_id: {"status": record.status, "loss": record.points[-1].loss} for run_id, record in found.items()}
    return {"runs": runs, "gpu_hours": hours, "flops": flops}


def _trained(record: Record) -> float:
    """Return the FLOPs of a run's own steps, without those that it took over from a longer one."""
    last = record.points[-1]
    return last.C * (1 - record.how.get("forked", {}).get("step", 0) / max(1, last.step))
