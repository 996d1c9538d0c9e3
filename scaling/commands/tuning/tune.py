"""`scaling tune`: find the learning rate (or other keys) for each size and length before the sweep is run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.options import (
    OVERRIDES,
    answer,
    as_typed,
    json_option,
    only_overrides,
    overrides,
    recipe_option,
    run_verb,
    terminal,
)
from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.plan.plan import Plan
    from scaling.plan.planned import PlannedRun
    from scaling.terminal_table import Terminal
    from scaling.tune import Best, Effort, Proposal, Range

EPILOG = """\b
Examples:
  scaling tune sweep=quickstart train.budget=1e9,4e9 seed=0,1 --range 4e-3 6.4e-2 --tries 8
  scaling tune sweep=mine --key optim.lr --range 1e-3 1e-1 --key optim.weight_decay --range 1e-3 1 --tries 24
"""
WAYS_OUT = "data.version=2 (or model.version=2) with another name=NAME tunes anew"


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@recipe_option
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A config key to tune; may be repeated.  [optim.lr]")
@click.option("--range", "bounds", nargs=2, type=float, multiple=True, required=True, metavar="LOW HIGH",
              help="Range of each key in turn, on a log scale.")  # fmt: skip
@click.option("--by", multiple=True, metavar="KEY", help="Tune separately for each value of this key; may be repeated. "
              " [all that vary but the seed: every size and length]")  # fmt: skip
@click.option("--tries", type=click.IntRange(1), default=8, show_default=True, help="Total number of values to try for "
              "each size and length.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1), default=4, show_default=True, help="Values in a round; later rounds "
              "use its results.")  # fmt: skip
@click.option("--widen/--no-widen", default=True, help="Try values outside the range if the best is at its end, up to "
              "a factor of 16.  [default: widen]")  # fmt: skip
@click.option("--seed", "study_seed", default=0, show_default=True, help="Seed of the proposals.")
@click.option("--apply", "apply_to", metavar="sweeps/x.yaml", help="Write the rule into this file's set:.")
@json_option
def tune(
    arguments: tuple[str, ...],
    keys: Sequence[str],
    bounds: Sequence[tuple[float, float]],
    by: Sequence[str],
    tries: int,
    at_once: int,
    widen: bool,
    study_seed: int,
    apply_to: str | None,
    json_path: str | None,
) -> None:
    """Tune keys for each size and length on the validation loss, with Optuna, and print the rule for `set:`.

    Tried values are trained like any other run and kept: the same command again trains nothing new, and more --tries
    continue. The optima of all sizes and lengths, with intervals, and the law in N and D through them use all runs
    (`scaling tuned results/NAME-tune` prints them again).
    """
    from scaling.commands.tuning.tunable import check_said
    from scaling.compose.session import session
    from scaling.compose.write_rules import write_rules
    from scaling.plan.expand import expand
    from scaling.plan.request import read_request
    from scaling.tune import Effort

    ranges = read_ranges(keys, bounds)
    with session() as loader:
        check_said(read_request(loader, only_overrides(arguments)), ranges, by)
        plan = expand(loader, arguments)
    plan = dataclasses.replace(plan, name=f"{plan.name}-tune")
    console = terminal(stderr=json_path == "-")
    found = _search(plan, ranges, by, Effort(tries, at_once, widen), seed=study_seed, console=console)
    law, reason = _law(plan.folder.path, [one.key for one in ranges])
    rules = rules_of(law, [one.key for one in ranges])
    if not law:
        _print_best(found, console)
    best = [{**dataclasses.asdict(entry), "group": dict(entry.group)} for entry in found]
    facts = {"keys": [one.key for one in ranges], "best": best, "rules": rules, "tuned": law, "reason": reason}
    written = ", ".join(f"{key}: {rule}" for key, rule in rules.items())
    answer(facts, json_path, f"set: {{{written}}}" if rules else f"no law yet: {reason or 'too few optima'}")
    if apply_to is not None:
        write_rules(Path(apply_to), rules, source=f"tuned in {as_typed(plan.folder.path)}")


def _print_best(found: Sequence[Best], console: Terminal) -> None:
    """Print the best values of each size and length, which no law sums up."""
    from scaling.plan.planned import as_overrides
    from scaling.tune import label

    for entry in found:
        values = " ".join(as_overrides(entry.values))
        console.say(f"best of {entry.tried} at {label(entry.group)}: {values} (val_loss {entry.val_loss:.4g})")


def read_ranges(keys: Sequence[str], bounds: Sequence[tuple[float, float]]) -> list[Range]:
    """Return the ranges of the keys; UserError if there is not one for each, or one is invalid."""
    from scaling.tune import MOST_KEYS, Range

    keys = keys or ("optim.lr",)
    if len(keys) != len(bounds):
        raise UserError(f"found {len(keys)} --key and {len(bounds)} --range; wanted a range for each key, in turn")
    if len(set(keys)) < len(keys):
        raise UserError(f"found --key {', --key '.join(keys)}; wanted each key once; drop one with its --range")
    if len(keys) > MOST_KEYS:
        raise UserError(f"found {len(keys)} keys to tune at once; wanted {MOST_KEYS} at most; tune some later")
    for low, high in bounds:
        if not 0 < low < high:
            raise UserError(
                f"found --range {low:g} {high:g}; wanted two positive numbers, the smaller first; change it"
            )
    return [Range(key, low, high) for key, (low, high) in zip(keys, bounds, strict=True)]


def rules_of(law: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Return the rule of each key that has one; the law names them by their columns, in the same order."""
    columns = dict(zip(keys, law.get("keys", ()), strict=False))
    return {key: law["rules"][column] for key, column in columns.items() if column in law["rules"]}


def _law(folder: Path, keys: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Let the analysis find the optima of all trials; return its result, or why it refuses."""
    options = [part for key in keys for part in ("--key", key)]
    try:
        return run_verb("tuned", [str(folder), *options], written=folder / "tuned.json"), ""
    except ValueError as refusal:  # one sentence of the analysis
        return {}, str(refusal)


def _search(
    plan: Plan, ranges: Sequence[Range], by: Sequence[str], effort: Effort, *, seed: int, console: Terminal
) -> list[Best]:
    """Try values round by round until every group of runs has had its tries, and return the best of each group."""
    from scaling import tune as tuning
    from scaling.commands.tuning.run_groups import group_runs
    from scaling.commands.tuning.trial_runs import TrialPlanner
    from scaling.security.rights import shared_as

    _check(plan, ranges)
    groups = group_runs(plan.runs, by, [one.key for one in ranges])
    planner = TrialPlanner(plan, [one.key for one in ranges])
    with shared_as(plan.results):
        searches = tuning.open_searches(plan.folder, ranges, groups, seed=seed)
        held = ""
        while not held:
            planned = planner.planned([one for search in searches.values() for one in search.next(effort)])
            if not planned:
                break
            held = _train_proposals(plan, planned, console)  # what is held back is tried first the next time
            for proposal in planned:
                if not held or tuning.was_tried(proposal, plan.folder):
                    searches[proposal.group].tell(proposal, plan.folder)
        return [best for search in searches.values() if (best := search.best()) is not None]


def _check(plan: Plan, ranges: Sequence[Range]) -> None:
    """Check that the plan can be tuned and trained here."""
    from scaling.commands.tuning.tunable import check_keys
    from scaling.dispatch.control.retry import stale_in
    from scaling.dispatch.launcher import launcher_of
    from scaling.dispatch.states.stale import refuse_stale
    from scaling.folders import check_writable

    check_keys(plan.runs, ranges)
    check_writable(plan.folder, group=plan.group)
    launcher_of(plan.launcher).check([run.config for run in plan.runs])
    refuse_stale(stale_in(plan.folder), ways_out=WAYS_OUT)


def _train_proposals(plan: Plan, proposals: Sequence[Proposal], console: Terminal) -> str:
    """Train the runs of proposals as `_train` does; a proposal beyond the range may have none in this sweep."""
    groups = [proposal.group for proposal in proposals if proposal.runs]
    if not groups:
        return ""
    console.say(f"{len(groups)} values to try at {len(set(groups))} sizes and lengths")
    runs = {run.run_id: run for proposal in proposals for run in proposal.runs}  # integers may coincide
    return _train(plan, list(runs.values()), console)


def _train(plan: Plan, runs: list[PlannedRun], console: Terminal) -> str:
    """Train the runs and return why some were held back, '' if none was."""
    from scaling.commands.forecast_runs import forecast_runs
    from scaling.commands.settling import settle
    from scaling.dispatch.launcher import launcher_of
    from scaling.dispatch.order import order_of
    from scaling.dispatch.states.settled import SettledRuns
    from scaling.dispatch.states.stale import refuse_stale, stale_of
    from scaling.forecast.estimate import Forecasts
    from scaling.plan.files import write_plan

    refuse_stale(stale_of(runs, SettledRuns(plan.folder)), ways_out=WAYS_OUT)  # also of other sweeps' runs
    forecasts = Forecasts(forecast_runs(runs, plan.launcher))
    write_plan(dataclasses.replace(plan, runs=tuple(runs)), forecasts.rows(), join=True)
    order = order_of(plan.folder, runs, forecasts=forecasts, limits=plan.limit)
    ended = settle(order, launcher_of(plan.launcher), console=console, again=command_again(plan.arguments), wait=True)
    ended.conclude()
    return str(ended.facts.get("held") or "")


def command_again(arguments: Sequence[str]) -> str:
    """Return the command that continues the present one, with its options."""
    chosen = click.get_current_context().params
    words = ["scaling", "tune", *arguments]
    words += [part for key in chosen["keys"] for part in ("--key", key)]
    words += [part for low, high in chosen["bounds"] for part in ("--range", f"{low}", f"{high}")]
    words += [part for key in chosen["by"] for part in ("--by", key)]
    words += ["--tries", f"{chosen['tries']}", "--at-once", f"{chosen['at_once']}", "--seed", f"{chosen['study_seed']}"]
    words += [] if chosen["widen"] else ["--no-widen"]
    words += ["--apply", chosen["apply_to"]] if chosen["apply_to"] else []
    return shlex.join(words)
