"""`scaling suggest`: what to run next, as a sweep file that `scaling run` takes."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import answer, json_option, run_verb, sweep_folder, trust_option
from scaling.commands.rounds.round_files import Suggested, one_at_a_time, restore_sweep_file, save_round
from scaling.errors import UserError
from scaling.numbers import cost

if TYPE_CHECKING:
    from scaling.commands.rounds.candidates import Candidate, Forecaster
    from scaling.folders import SweepFolder
    from scaling.plan.plan import Plan

EPILOG = """\b
Examples:
  scaling suggest results/quickstart --target C=1e12 --limit flops=1e11
  scaling suggest results/quickstart --target C=1e12 --of N_star --limit gpu_hours=0.1 --bounds model.width=8:256
"""
UNITS = ("flops", "gpu_hours")


@dataclass(frozen=True)
class Goal:
    """The target of a suggestion and its limit; unit: of the limit, flops or gpu_hours."""

    targets: tuple[str, ...]
    of: str | None
    unit: str
    limit: float
    most: int
    laws: tuple[str, ...]
    y: str
    seed: int
    task: str | None
    fix: tuple[str, ...] = ()
    tie: tuple[str, ...] = ()

    def options(self, left: float) -> list[str]:
        """Return the corresponding options of `scaling choose`; left: of the limit."""
        words = ["--limit", repr(left), "--most", str(self.most), "--y", self.y, "--seed", str(self.seed)]
        repeated = {"target": self.targets, "law": self.laws, "fix": self.fix, "tie": self.tie}
        single = {name: (value,) for name, value in (("of", self.of), ("task", self.task)) if value}
        return words + [
            part for name, values in {**repeated, **single}.items() for value in values for part in (f"--{name}", value)
        ]


GOAL_OPTIONS = (
    click.option("--target", "targets", multiple=True, required=True, metavar="C=1e18|N=…,D=…",
                 help="Where the law should be known; may be repeated. C alone: at its optimal N and D."),
    click.option("--of", metavar="loss|N_star|N_exponent|alpha", help="Quantity to know there.  [the response]"),
    click.option("--limit", required=True, metavar="flops=…|gpu_hours=…", help="Total cost limit."),
    click.option("--most", type=click.IntRange(1), default=4, show_default=True, help="Runs in one round."),
    click.option("--law", "laws", multiple=True, default=["chinchilla"], metavar="LAW,…",
                 help="One law, or several, weighted by their backtests.  [chinchilla]"),
    click.option("--y", default="loss", show_default=True, metavar="loss|error|COLUMN", help="The response."),
    click.option("--fix", multiple=True, metavar="E=1.6", help="Fix a parameter of the law; may be repeated."),
    click.option("--tie", multiple=True, metavar="alpha=beta", help="Set one parameter equal to another."),
    click.option("--bounds", multiple=True, metavar="KEY=LOW:HIGH",
                 help="Range of an axis; may be repeated.  [half its smallest to four times its largest]"),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the fit's starts."),
    click.option("--task", help="The task, if the sweep has several."),
)  # fmt: skip


def goal_options(command: Any) -> Any:
    """Add the options for the target, the limit, and the bounds of extended axes."""
    for option in reversed(GOAL_OPTIONS):
        command = option(command)
    return command


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("results", metavar="results/NAME", shell_complete=complete_results)
@trust_option
@goal_options
@click.option(
    "--pool", "pool", metavar="FILE", help="Choose from this table of candidates (with a column cost) instead."
)
@click.option("-o", "--out", metavar="sweeps/x.yaml", help="The sweep file to write.  [sweeps/NAME-next.yaml]")
@json_option
def suggest(results: str, pool: str | None, out: str | None, json_path: str | None, **asked: Any) -> None:
    """Suggest the runs that would narrow the interval at a target most for their cost, and write a sweep file.

    Candidates are the sweep's own axes, extended, with new seeds. Their cost includes parents that are not trained yet.
    With --pool the candidates are the rows of a file, and no sweep file is written.
    """
    folder = sweep_folder(results)
    goal, bounds = read_goal(asked)
    if pool is not None:
        answer(choose(folder, Path(pool), goal.options(goal.limit)), json_path)
        return
    path = Path(out or f"sweeps/{folder.name.replace('/', '-')}-next.yaml")
    with one_at_a_time(folder, "suggesting"):
        found = suggest_round(folder, goal, bounds, left=goal.limit, out=path)
        save_round(folder, found, by="suggest")
    click.echo(f"written to {path}: {found.facts['command']}")
    answer(found.facts, json_path)


def read_goal(asked: Mapping[str, Any]) -> tuple[Goal, dict[str, tuple[float, float]]]:
    """Check the options of a goal; UserError for an invalid limit or invalid bounds."""
    unit, _, value = str(asked["limit"]).partition("=")
    limit = _positive(value)
    if unit not in UNITS or limit is None:
        raise UserError(
            f"found --limit {asked['limit']}; wanted flops=1e12 or gpu_hours=2, a positive number; change it"
        )
    bounds = {}
    for text in asked["bounds"]:
        key, _, ends = text.partition("=")
        low, high = (_positive(end) for end in (ends.partition(":")[0], ends.partition(":")[2]))
        if low is None or high is None or low > high:
            raise UserError(f"found --bounds {text}; wanted KEY=LOW:HIGH, such as model.width=8:256; change it")
        bounds[key] = (low, high)
    own = {name: value for name, value in asked.items() if name not in ("limit", "bounds")}
    return Goal(unit=unit, limit=limit, **own), bounds


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def suggest_round(
    folder: SweepFolder, goal: Goal, bounds: Mapping[str, tuple[float, float]], *, left: float, out: Path
) -> Suggested:
    """Make candidates, let the analysis choose, and return the round with its sweep file's text; nothing is saved.

    left: of the limit; out: path for the sweep file.
    """
    from scaling.commands.forecast_runs import forecaster
    from scaling.commands.rounds.candidates import candidates, launcher_overrides, overrides_of
    from scaling.commands.rounds.sweep_file import sweep_name_of, sweep_text
    from scaling.compose.session import session
    from scaling.plan.expand import expand
    from scaling.plan.request import read_request

    restore_sweep_file(folder)
    words = overrides_of(folder)
    command = shlex.join(["scaling", "run", f"sweep={sweep_name_of(out)}", *launcher_overrides(words)])
    with session() as loader:
        plan = expand(loader, words)
        request = read_request(loader, plan.arguments)
        forecasts = forecaster(plan)
        pool = candidates(loader, plan, bounds=bounds, forecasts=forecasts, task=goal.task)
    listed = write_candidates(folder.path / "next" / "candidates.csv", pool, goal.unit)
    choice = choose(folder, listed, goal.options(left))
    chosen = [pool[int(place)] for place in choice["rows"]]
    limit = {goal.unit: price_of(plan, goal.unit, forecasts) + left}
    text = sweep_text(
        plan, request, [one.run.overrides for one in chosen], limit=limit, head=head_of(folder, goal, choice)
    )
    runs = {"runs": [one.run.run_id for one in chosen], "labels": [one.run.row()["overrides"] for one in chosen]}
    facts = {"wish": asdict(goal), **runs, "sweep": str(out), "command": command}
    return Suggested({**choice, **facts, "candidates": len(pool)}, text)


def price_of(plan: Plan, unit: str, forecasts: Forecaster) -> float:
    """Return the price of a plan's runs, settled or not, as counted for the plan's limit."""
    from scaling.dispatch.states.settled import SettledRuns
    from scaling.dispatch.states.trunks import without_lost_trunks

    runs = without_lost_trunks(plan.runs, plan.folder, SettledRuns(plan.folder))
    if unit == "flops":
        return float(sum(run.C_spent for run in runs))
    return sum(one.seconds for one in forecasts(runs).values()) / 3600


def head_of(folder: SweepFolder, goal: Goal, choice: Mapping[str, Any]) -> list[str]:
    """Return the head comment of a sweep file: question, purpose, cost and expected result."""
    from scaling.commands.rounds.sweep_file import question_of

    of, targets = choice["of"], ", ".join(goal.targets)
    what = f"the runs that narrow the interval of {of} at {targets} most for their cost"
    expected = "enough to fit a law; there is none yet, and nothing is forecast"
    if choice["kind"] == "space":
        what = f"runs spread over its axes, to know {of} at {targets} later"
    else:
        now, after = choice["interval_now"], choice["interval_after"]
        expected = f"a half-width of {after:.2%}, where it is {now:.2%} now"
    return [
        *(question_of(folder) or [folder.name]),
        "",
        f"Runs      those of {folder.name}, and {what}",
        f"Cost      {len(choice['rows'])} runs, {cost(choice['cost'], goal.unit)}",
        f"Expect    {expected}",
    ]


def write_candidates(path: Path, pool: Sequence[Candidate], unit: str) -> Path:
    """Write candidates as a table with a column cost; UserError if there are none, or their time is unknown."""
    if not pool:
        raise UserError("found no candidate that is not settled; wanted some; give --bounds that leave more room")
    rows = [one.row(unit) for one in pool]
    if any(row["cost"] is None for row in rows):
        raise UserError(
            "found no speed to price runs in gpu_hours; wanted one; give --limit flops=… or `scaling probe`"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def choose(folder: SweepFolder, pool: Path, options: Sequence[str]) -> dict[str, Any]:
    """Let the analysis choose from a table of candidates; it prints its choice, and refuses if none helps."""
    words = [str(folder.path), "--candidates", str(pool), *options]
    return run_verb("choose", words, written=folder.path / "next" / "choice.json")
