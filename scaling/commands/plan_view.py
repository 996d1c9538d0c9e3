"""Print a plan: a table of runs and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from scaling.commands.options import terminal
from scaling.commands.plan_forecast import PlanForecast
from scaling.commands.plan_warnings import plan_warnings
from scaling.config import RECIPE_VERSION
from scaling.dispatch.states.stale import WAYS_OUT, stale_words
from scaling.numbers import big, duration, flops, many, size
from scaling.plan.plan import Plan
from scaling.plan.planned import PlannedRun, as_overrides
from scaling.terminal_table import Column, print_table

ROWS_SHOWN = 30  # rows of a long plan; --all shows every run
WORTH_SAYING = 1.2  # least gain of another engine for which it is recommended
CHANGED_SHOWN = 3  # run ids of settled runs of another model
FOR_MORE = "; lengths that are closer together, or a shorter cooldown (schedule.decay), save more"


def show_plan(view: PlanForecast, *, show_all: bool = False) -> None:
    """Print the runs and the totals."""
    console = terminal()
    runs = view.plan.runs if show_all else view.plan.runs[:ROWS_SHOWN]
    print_table(console, COLUMNS, [_row(view, run) for run in runs])
    if len(runs) < len(view.plan.runs):
        console.say(f"… and {len(view.plan.runs) - len(runs):,} more (--all shows them, --json writes them)")
    console.say(*summary(view))


COLUMNS = (
    Column("run", rank=5),
    Column("overrides", wraps=True),
    Column("N", right=True),
    Column("D", right=True),
    Column("D_unique", rank=8, right=True),
    Column("epochs", rank=7, right=True),
    Column("steps", rank=6, right=True),
    Column("C / FLOPs", rank=1, right=True),
    Column("budget", rank=9, right=True),
    Column("forecast", rank=2, right=True),
    Column("status", rank=3),
)


def _row(view: PlanForecast, run: PlannedRun) -> list[str]:
    quantities, forecast = run.quantities, view.forecasts.by_id.get(run.run_id)
    return [
        run.run_id,
        " ".join(as_overrides(run.overrides)),
        big(quantities.counts.N),
        big(quantities.D),
        "fresh" if quantities.fresh else big(quantities.D_unique),
        f"{quantities.epochs:.3g}",
        big(quantities.steps),
        flops(quantities.C),
        "" if quantities.budget is None else flops(quantities.budget),
        duration(forecast.seconds) if forecast else "",
        view.status[run.run_id],
    ]


def summary(view: PlanForecast) -> list[str]:
    """Return the totals of a plan, a line each."""
    total = view.totals()
    head = (
        f"{many(total['runs'], 'run')} ({total['finished']:,} settled, {total['remaining']:,} to go), "
        f"{flops(total['C'])} FLOPs in all, {flops(total['C_remaining'])} to go"
    )
    warned = [f"warning: {warning}" for warning in plan_warnings(view.plan.runs)]
    now = [head, *_trunks(total), *_forecast(total), *_settled(view, total)]
    return [*now, *warned, *_dropped(view), *_asked(view.plan)]


def _trunks(total: Mapping[str, Any]) -> list[str]:
    """Say how many runs continue from a trunk, and how many cannot."""
    lines = []
    if total["forked"]:
        share = 100 * (1 - total["C"] / total["C_alone"])
        few = "s" * (total["forked"] == 1)
        lines.append(
            f"trunk: {many(total['forked'], 'run')} continue{few} from the steps of longer ones: {share:.0f} % less "
            f"than the {flops(total['C_alone'])} FLOPs of separate runs{FOR_MORE if share < 50 else ''}"
        )
    if total["orphans"]:
        lines.append(
            f"trunk: {many(total['orphans'], 'run')} to train from the start, because the longer run is settled and "
            f"its state is gone"
        )
    return lines


def _settled(view: PlanForecast, total: Mapping[str, Any]) -> list[str]:
    """Say which cells are one run, and which settled runs differ from what the plan asks for."""
    lines = []
    if total["duplicates"]:
        more = total["duplicates"]
        why = f", differing only in {' and '.join(view.plan.alike)}" if view.plan.alike else ""
        lines.append(
            f"{many(more, 'more cell')} of the grid give{'s' * (more == 1)} runs that the plan has already{why}"
        )
    if lacking := total["lacking_milestones"]:
        lines.append(
            f"{many(lacking, 'settled run')} {'lacks' if lacking == 1 else 'lack'} a milestone that you now ask for: "
            f"`scaling run --redo` trains them again"
        )
    if view.changed:
        named = ", ".join(run.run_id for run in view.changed[:CHANGED_SHOWN])
        lines.append(
            f"{many(len(view.changed), 'settled run')} had other counts of parameters or FLOPs than the model has now: "
            f"{named}{', …' if len(view.changed) > CHANGED_SHOWN else ''}; its code has changed, or an earlier "
            f"version of `scaling` counted it otherwise: raise model.version, or `scaling run --redo` trains them again"
        )
    if view.older:
        lines.append(
            f"{many(len(view.older), 'run')} to go {'is' if len(view.older) == 1 else 'are'} settled by an older "
            f"recipe: --recipe {RECIPE_VERSION - 1} counts them and trains the rest with it "
            f"(what differs: docs/recipes.md)"
        )
    if view.stale:
        lines.append(f"{stale_words(view.stale)}; `scaling run` needs your choice: {WAYS_OUT}")
    return lines


def _asked(plan: Plan) -> list[str]:
    """Say what the sweep asks for beside its runs: a limit, a mirror, commands."""
    hours, most = plan.limit.gpu_hours, plan.limit.flops
    limits = [] if hours is None else [f"{hours:g} device hour{'s' * (hours != 1)}"]
    limits += [] if most is None else [f"{flops(most)} FLOPs"]
    lines = [f"limit: {' and '.join(limits)}"] if limits else []
    if plan.mirror:
        lines.append(f"mirrored to {plan.mirror} while `scaling run` trains here")
    lines += [f"before Python starts in each job: {line}" for line in getattr(plan.launcher, "setup", ())]
    if plan.on_end:
        lines.append(f"at the end of `scaling run`: {plan.on_end}")
    return lines


def _forecast(total: Mapping[str, Any]) -> list[str]:
    """Return the forecast in lines: the time of unsettled runs, if there are any, and the disk space."""
    disk = f"disk: {size(total['disk_bytes'])} in {total['files']:,} files"
    if not total["remaining"]:
        return [disk]
    lines = [f"forecast: {total['basis']}"]
    if total["forecast_seconds"] is not None:
        lines = [
            f"forecast: {duration(total['forecast_seconds'])} of computing, {duration(total['wall_seconds'])} "
            f"on {many(total['workers'], 'worker')} ({total['basis']})"
        ]
        if (total["stacked_gain"] or 0.0) >= WORTH_SAYING:
            lines.append(
                f"train.engine=stacked: about {total['stacked_gain']:.1f}x less time, runs of one shape trained "
                f"together (the same runs up to rounding, with other ids)"
            )
    return [*lines, f"{disk}, and up to {size(total['peak_checkpoint_bytes'])} of checkpoints while it runs"]


def _dropped(view: PlanForecast) -> list[str]:
    """Count the dropped cells by the rule that dropped them, with one example each."""
    counted: Counter[str] = Counter()
    example: dict[str, Mapping[str, Any]] = {}
    reasons: dict[str, str] = {}
    for cell in view.plan.dropped:
        rule = cell.reason.split(" (")[0] if cell.reason.startswith("where:") else cell.reason.split(";")[-2]
        counted[rule] += 1
        example.setdefault(rule, cell.overrides)
        reasons.setdefault(rule, cell.reason)
    return [
        f"dropped {many(number, 'cell')}: {reasons[rule]} – for example {' '.join(as_overrides(example[rule]))}"
        for rule, number in counted.items()
    ]
