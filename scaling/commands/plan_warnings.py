"""Warnings about plans that cannot support a claim: short runs, sizes that miss their optimum, few budgets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from scaling.numbers import flops
from scaling.plan.planned import PlannedRun
from scaling.schedules.warmup import Warmup

FEW_STEPS = 300  # steps below which a run mostly shows the start of its training
SIZES = 4  # sizes at one budget from which a curve over N has a minimum with an error
BRACKET = 4.0  # largest over smallest size at a budget: an optimum is known beforehand to a factor of two at best
BUDGETS, BUDGETS_AHEAD = 3, 5  # budgets through which a law N*(C) goes at least, and from which it may be extended
SETTINGS = 15  # settings of N and D from which a law of both, with five parameters, may be more than weak
ALIKE = 1.05  # factor between two N that count as one size


def plan_warnings(runs: Sequence[PlannedRun]) -> list[str]:
    """Return a sentence with advice for each claim that the runs of a plan cannot support."""
    trained = [run for run in runs if run.parent is None]
    return [*_short(trained), *_of_warmup(trained), *_of_budgets(trained), *_of_settings(trained)]


def _short(runs: Sequence[PlannedRun]) -> Iterator[str]:
    short = [run for run in runs if run.quantities.steps < FEW_STEPS]
    if short:
        least = min(run.quantities.steps for run in short)
        yield (
            f"fewer than {FEW_STEPS} steps in {len(short):,} of {len(runs):,} runs (as few as {least:,}), which "
            "mostly shows the start of training; use a smaller train.batch, more examples, or where: steps >= 300"
        )


def _of_warmup(runs: Sequence[PlannedRun]) -> Iterator[str]:
    rising = [run for run in runs if isinstance(run.config.schedule, Warmup)]
    short = [run for run in rising if (run.config.schedule.warmup_steps or 0) > run.quantities.steps]
    if short:
        yield (
            f"schedule.warmup_steps={short[0].config.schedule.warmup_steps} is more than all steps of {len(short):,} "
            f"of {len(runs):,} runs, which never reach their learning rate; use fewer, or a share by schedule.warmup"
        )


def _of_budgets(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Check the sizes of each budget if several budgets have several sizes."""
    sizes: dict[float, set[int]] = defaultdict(set)
    for run in runs:
        if run.quantities.budget is not None:
            sizes[float(run.quantities.budget)].add(run.quantities.counts.N)
    curves = {budget: sorted(N) for budget, N in sizes.items() if len(N) > 1}
    if not curves:
        return
    few = [budget for budget, N in curves.items() if _distinct(N) < SIZES]
    if few:
        yield (
            f"fewer than {SIZES} sizes at {len(few)} of {len(curves)} budgets ({_listed(few)} FLOPs), too few for "
            "the minimum of a curve over N; add sizes"
        )
    narrow = [budget for budget, N in curves.items() if N[-1] < BRACKET * N[0] and budget not in few]
    if narrow:
        yield (
            f"at {len(narrow)} of {len(curves)} budgets N spans less than {BRACKET:g} times ({_listed(narrow)} FLOPs), "
            "too little to bracket the best size; add smaller and larger models"
        )
    yield from _of_range(curves)
    if len(curves) < BUDGETS_AHEAD:
        need = f"to extrapolate N*(C) needs {BUDGETS_AHEAD}"
        if len(curves) < BUDGETS:
            need = f"a law N*(C) needs {BUDGETS}"
        yield f"only {len(curves)} budgets have several sizes; {need}"


def _of_range(curves: dict[float, list[int]]) -> Iterator[str]:
    """Compare the range of sizes with the expected change of the optimum, about the root of the budget."""
    moves = (max(curves) / min(curves)) ** 0.5
    smallest, largest = curves[min(curves)], curves[max(curves)]
    spans = max(largest[-1], smallest[-1]) / min(largest[0], smallest[0])
    if spans < moves * BRACKET**0.5:
        yield (
            f"sizes span a factor of {spans:.3g}, while the best size moves by about {moves:.3g} over these budgets "
            "(as the root of C), so the outer budgets hardly bracket it; let sizes grow with it, or span more"
        )


def _of_settings(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Count the settings of a grid that crosses N and D without budgets."""
    settings = {(run.quantities.counts.N, run.quantities.D) for run in runs if run.quantities.budget is None}
    sizes, lengths = ({setting[k] for setting in settings} for k in (0, 1))
    if min(len(sizes), len(lengths)) > 1 and max(len(sizes), len(lengths)) < len(settings) < SETTINGS:
        yield (
            f"N and D have {len(settings)} settings, and a law of both has five parameters and needs {SETTINGS}; add "
            "sizes or lengths"
        )


def _distinct(sizes: Sequence[int]) -> int:
    return 1 + sum(b > ALIKE * a for a, b in pairwise(sizes))


def _listed(budgets: Sequence[float]) -> str:
    return ", ".join(map(flops, sorted(budgets)))
