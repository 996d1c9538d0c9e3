"""`scaling extend`: suggest, run, fit and suggest again, until the target is known or the limit is reached."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import json_option, sweep_folder, terminal, trust_option, write_json
from scaling.commands.rounds.candidates import overrides_of
from scaling.commands.rounds.restore_runs import restore_runs
from scaling.commands.rounds.round_files import Round, one_at_a_time, own_rounds, restore_sweep_file, save_round, spent
from scaling.commands.rounds.suggest import Goal, goal_options, read_goal, suggest_round
from scaling.numbers import cost, many
from scaling.plan.rows import read_rows

if TYPE_CHECKING:
    from scaling.folders import SweepFolder
    from scaling.record import Record
    from scaling.terminal_table import Terminal

EPILOG = """\b
Example:
  scaling extend results/quickstart --target C=1e12 --until 0.005 --limit flops=2e11
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("results", metavar="results/NAME", shell_complete=complete_results)
@trust_option
@goal_options
@click.option("--until", type=click.FloatRange(0, min_open=True), required=True,
              help="Stop at this half-width of the interval at the target, in the logarithm.")  # fmt: skip
@click.option(
    "--rounds", "most_rounds", type=click.IntRange(1), default=100, show_default=True, help="Maximum number of rounds."
)
@json_option
def extend(results: str, until: float, most_rounds: int, json_path: str | None, **asked: Any) -> None:
    """Run the most informative runs, round by round, until an interval is narrow enough or the limit is spent.

    Runs are trained where the sweep's were, here or on SLURM. Each round and its forecasts are saved before it is run
    (results/NAME/rounds). After a kill, the same command continues with its current round. `scaling ledger
    results/NAME` shows how the forecasts turned out.
    """
    folder, console = sweep_folder(results), terminal(stderr=json_path == "-")
    goal, bounds = read_goal(asked)
    ended = ""
    with one_at_a_time(folder, "extending"):
        with one_at_a_time(folder, "suggesting"):
            restore_runs(folder, goal, console)
        while not ended:
            pending = next((one for one in own_rounds(folder) if one.outcome is None), None)
            if pending is None:
                pending, ended = next_round(folder, goal, bounds, until=until, most_rounds=most_rounds)
            if pending is not None:
                settle_round(folder, pending, goal.unit, console)
    console.say(ended)
    if json_path is not None:
        own = own_rounds(folder)
        kept = [{"round": one.path.name, **one.facts, "outcome": one.outcome} for one in own]
        write_json({"ended": ended, "spent": spent(own, goal.unit), "unit": goal.unit, "rounds": kept}, json_path)


def next_round(
    folder: SweepFolder, goal: Goal, bounds: Mapping[str, tuple[float, float]], *, until: float, most_rounds: int
) -> tuple[Round | None, str]:
    """Suggest the next round and save it, or return why there is none."""
    before = own_rounds(folder)
    count, paid = len(before), spent(before, goal.unit)
    if count >= most_rounds:
        return None, f"{many(count, 'round')} made, as many as asked for"
    left = goal.limit - paid
    if left <= 0:
        return None, f"the limit is spent: {cost(paid, goal.unit)} of {cost(goal.limit, goal.unit)}"
    out = Path(f"sweeps/{folder.name.replace('/', '-')}-next.yaml")
    with one_at_a_time(folder, "suggesting"):
        try:
            found = suggest_round(folder, replace(goal, limit=left), bounds, left=left, out=out)
        except ValueError as refusal:  # one sentence of the analysis; before the first round it is an error
            if not count:
                raise
            return None, f"no further run: {refusal}"
        now = found.facts["interval_now"]  # none where no law can be fitted yet
        if now is not None and now <= until:
            known = f"known well enough: a half-width of {now:.3g}, where {until:g} was asked for"
            return None, f"{known}; the runs above are not trained"
        return save_round(folder, found, by="extend"), ""


def settle_round(folder: SweepFolder, this_round: Round, unit: str, console: Terminal) -> None:
    """Train a round's runs and record the outcome; exit with 1 if some failed, so that they can be retried."""
    from scaling.commands.run import execute
    from scaling.compose.session import session
    from scaling.plan.expand import expand

    runs, price = this_round.facts["runs"], this_round.facts["cost"]
    console.say(f"round {int(this_round.path.name)}: {many(len(runs), 'run')}, {cost(price, unit)}")
    with one_at_a_time(folder, "suggesting"), session() as loader:
        if set(runs) <= {row["run_id"] for row in read_rows(folder)}:
            restore_sweep_file(folder)
            words = overrides_of(folder)
        else:
            this_round.write_sweep_file()
            words = this_round.overrides(folder)
        plan = expand(loader, words)
    execute(plan, wait=True)
    while wait_for_others(folder, runs):
        execute(plan, wait=True)
    this_round.write_outcome(round_outcome(folder, this_round))


def wait_for_others(folder: SweepFolder, runs: Sequence[str]) -> bool:
    """Wait while another command, such as `scaling run`, trains some of these runs; return whether one did."""
    from scaling.commands.monitor.status import WATCH_SECONDS
    from scaling.dispatch.states.read_plan import read_plan
    from scaling.dispatch.states.read_state import Reader
    from scaling.dispatch.states.state import State

    reader, waited = Reader(folder, [run for run in read_plan(folder) if run.run_id in runs]), False
    while reader.read().of(State.RUNNING):
        waited = True
        time.sleep(WATCH_SECONDS)
    return waited


def round_outcome(folder: SweepFolder, this_round: Round) -> dict[str, Any]:
    """Return the outcome of a round: loss and status of each run, and the device hours and FLOPs of all."""
    from scaling.record import read_record

    records = {run_id: read_record(folder.run(run_id)) for run_id in this_round.facts["runs"]}
    found = {run_id: record for run_id, record in records.items() if record is not None}
    hours = sum(record.how.get("seconds") or 0.0 for record in found.values()) / 3600
    flops = float(sum(_trained(record) for record in found.values()))
    runs = {run_id: {"status": record.status, "loss": record.points[-1].loss} for run_id, record in found.items()}
    return {"runs": runs, "gpu_hours": hours, "flops": flops}


def _trained(record: Record) -> float:
    """Return the FLOPs of a run's own steps, without those of the run that it forked from."""
    last = record.points[-1]
    return last.C * (1 - record.how.get("forked", {}).get("step", 0) / max(1, last.step))
