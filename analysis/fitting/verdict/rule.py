"""Whether a law is right, not only at its optimum: lack of fit, its own hold-out, and what would help.

The rule, and what it was measured to do, stand in docs/laws.md and docs/coverage.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.certificate import information
from analysis.fitting.engine import fit_points
from analysis.fitting.points import check
from analysis.fitting.points import settings as settings_of_rows
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings
from analysis.fitting.verdict.drift import drifts, moves
from analysis.fitting.verdict.misfit import UNLIKELY, Misfit, misfit, rounding
from analysis.fitting.verdict.own_holdout import RESAMPLES, OwnHoldOut, hold_out, sizes
from analysis.fitting.verdict.run_residuals import by_run
from analysis.fitting.verdict.two_groups import TwoGroups, two_groups
from analysis.laws import LAWS, Law
from analysis.laws.base import Array
from analysis.numbers import entry, number, p_value, percent

GROSS = 2.0
"""Law's own error over the noise of a run beyond which a lack of fit alone weakens the law; none above `FAR`."""
AHEAD = 3.0
"""Times the largest of each input at which it is asked what a drift would do."""
MOVED = 0.005
"""What a drift, surely there, has to move the forecast to there to weaken the law (share of y)."""
GROUPS = 0.02
"""Distance of two groups of runs (share of y) that weakens the law; less is what rounded losses show."""
SMALL = 1e-3
"""Law's own error (share of y) that matters to nobody: losses are published with three decimals."""
FAR = 0.01
"""Error (share of y) from which a law that is off ahead, or by more than its noise, is no longer to be trusted."""
SURE = 2.0
"""Error ahead over the half-width of its 95 % interval beyond which a hold-out alone weakens the law."""
LIKELY = 0.5
"""The same where there is a lack of fit too: about one standard deviation."""
NARROWER = (0.8, 0.65, 0.5)
"""Shares of the distinct sizes, the largest ones, on which a law that misses is tried again; longest first."""
MORE, MORE_JOINT = 6, 4
"""Parameters that another law may have more: of one variable (from a floor to two breaks), and of N and D."""
SETTINGS = 3
"""Settings that another law wants for each of its parameters."""
STEPS = 40
"""Steps in which the least squares of such a law are found, or it is not named."""
AGAIN = 10
"""Steps from there in which the smaller two thirds of the sizes are fitted."""
STARTS = 3
"""Starts that the laws and ranges tried as a cure go on with: the lowest of those that a fit draws."""


@dataclass(frozen=True)
class Verdict:
    """What weakens a law, and what is worth saying of it though it does not.

    supported: times the largest run seen up to which its own hold-out held; None where it did not, or there is none.
    """

    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    supported: float | None = None


def with_verdict(found: Fit, law: Law, settings: Settings, *, cures: bool = True) -> Fit:
    """Add to a fit's certificate what its lack of fit and its hold-out say of the law, and what would cure it.

    settings: those of the fit. cures: whether to look for one. Inner fits (hold-outs, other laws, narrower ranges) get
    no verdict.
    """
    with np.errstate(all="ignore"):
        verdict = judge_law(found, law, settings)
        if verdict.reasons and cures:
            last = f"{verdict.reasons[-1]}; {cure(found, law, settings)}"
            verdict = replace(verdict, reasons=(*verdict.reasons[:-1], last))
    judged = with_reasons(found, verdict.reasons)
    certificate = replace(judged.certificate, supported=verdict.supported)
    return replace(judged, certificate=certificate, warnings=(*judged.warnings, *verdict.remarks))


def with_reasons(found: Fit, reasons: tuple[str, ...]) -> Fit:
    """Weaken a fit's certificate by reasons; as it is without any."""
    if not reasons:
        return found
    certificate = replace(found.certificate, status="weak", reasons=(*found.certificate.reasons, *reasons))
    warnings = (*found.warnings, *(f"weak fit: {reason}" for reason in reasons))
    return replace(found, certificate=certificate, warnings=warnings)


def judge_law(found: Fit, law: Law, settings: Settings) -> Verdict:
    """Weigh a fit's lack of fit; where that alone does not decide, its hold-out, without the largest third."""
    lack, ahead = lack_in(found), hold_out(found, law, settings)
    if wrong := wrong_in(found, lack):
        return Verdict(reasons=(wrong,), supported=held(ahead))
    return weigh_hold_out(lack, ahead)


def wrong_in(found: Fit, lack: Misfit | None) -> str:
    """Return a sentence on a lack of fit, groups or a drift that weakens the law whatever its hold-out says; or ''."""
    if lack and gross(lack):
        return lack_words(lack)
    groups = groups_in(found)
    if groups and groups.apart > GROUPS:
        return groups_words(groups)
    return "" if present(lack) else drift_in(found)


def held(ahead: OwnHoldOut | None) -> float | None:
    """Return how many times ahead a hold-out held; None where it did not, or there is none."""
    return ahead.factor if ahead and abs(ahead.error) <= max(FAR, ahead.reach) else None


def weigh_hold_out(lack: Misfit | None, ahead: OwnHoldOut | None) -> Verdict:
    """Decide by the hold-out: far off it weakens the law, or less far where there is a lack of fit too."""
    there = present(lack)
    remarks = (lack_words(lack),) if lack and there else ()
    if ahead is None:
        return Verdict(remarks=remarks)
    off = abs(ahead.error)
    if off < FAR or off < ahead.reach * (LIKELY if there else SURE):
        return Verdict(remarks=remarks, supported=held(ahead))
    return Verdict(reasons=(*remarks, ahead_words(ahead)))


def present(lack: Misfit | None) -> bool:
    """Tell whether there is a lack of fit, large enough to be told."""
    return lack is not None and lack.p_value < UNLIKELY and lack.systematic > SMALL


def gross(lack: Misfit) -> bool:
    """Tell whether a lack of fit weakens the law whatever its hold-out says."""
    own = lack.systematic
    large = own > max(SMALL, GROSS * lack.noise) or own > FAR
    return lack.p_value < UNLIKELY and large


def groups_in(found: Fit) -> TwoGroups | None:
    """Return the two groups that the runs fall into, if they do."""
    engine = found.engine
    slopes, _ = information(engine.problem, engine.theta, np.ones(found.n_points))
    rows = engine.residuals[None], slopes, np.stack(list(engine.problem.inputs.values()))
    rest, slopes, logs = (by_run(one, engine.points.run) for one in rows)
    return two_groups(rest[0], slopes, logs)


def lack_in(found: Fit) -> Misfit | None:
    """Return the lack of fit of a fitted law."""
    engine = found.engine
    slopes, _ = information(engine.problem, engine.theta, np.ones(found.n_points))
    return misfit(engine.points, engine.residuals, slopes, found.lack_of_fit)


def drift_in(found: Fit) -> str:
    """Return a sentence on the likeliest drift along an input that is surely there and moves forecasts; or ''."""
    engine = found.engine
    seen = drifts(engine.problem, engine.points, engine.theta, engine.residuals)
    best = min(seen, key=lambda one: one.p_value, default=None)
    rounded = rounding(engine.points.y) > 2 * MOVED * float(np.median(np.abs(engine.points.y)))
    if best is None or best.p_value * len(seen) > UNLIKELY or rounded:
        return ""
    corner = {name: np.array([x.max() + np.log(AHEAD)]) for name, x in engine.problem.inputs.items()}
    moved = best.mean * float(moves(best, engine.problem, engine.theta, corner)[0])
    if abs(moved) < MOVED:
        return ""
    column = engine.points.columns[best.name]
    return (
        f"{found.y} drifts from the law by {percent(best.mean)} of its median per decade of {column} "
        f"({p_value(best.p_value)}): {percent(abs(moved))} at {number(AHEAD)} times the largest {column}"
    )


def lack_words(lack: Misfit) -> str:
    """Return a sentence: how large a lack of fit is, and against what."""
    what = {
        "seeds": "the law misses the means of its settings by more than the seeds explain",
        "structure": "the law misses its points by more than their noise explains",
    }[lack.against]
    return (
        f"{what}: by {percent(lack.systematic)}, while runs scatter by {percent(lack.noise)} ({p_value(lack.p_value)})"
    )


def groups_words(groups: TwoGroups) -> str:
    """Return a sentence: how two groups of runs lie apart."""
    return (
        f"the runs fall into two groups of {groups.few} and {groups.many}, {percent(groups.apart)} apart: they scatter "
        f"by {percent(groups.inside)} about two curves, by {percent(groups.together)} about one; two data sets?"
    )


def ahead_words(ahead: OwnHoldOut) -> str:
    """Return a sentence: how wrong a law was ahead."""
    side = "low" if ahead.error > 0 else "high"
    return (
        f"fitted without the largest third, it predicts that third {percent(abs(ahead.error))} too {side}, "
        f"beyond the {percent(ahead.reach)} of its 95 % interval"
    )


def cure(found: Fit, law: Law, settings: Settings) -> str:
    """Name what would make the verdict ok: another law, else the longest range in which this one is, else runs.

    Both are looked for by least squares, found in a third of the steps, with intervals from the sandwich formula.
    """
    how = replace(settings.how, resamples=0, starts=None, majority=True, kept=STARTS, steps=STEPS)
    least = replace(settings, goal=replace(settings.goal, name="lsq"), how=how)
    every = np.ones(found.n_points, dtype=bool)
    for other in _others(found, law):
        if (passing := _passing(found, other, least, every)) and (exact := _exact(passing, other, settings)):
            numbers = ", ".join(f"{name} {entry(name, value)}" for name, value in exact.params.items())
            return f"{other.name} passes ({numbers})"
    size = sizes(found.engine.points)
    distinct = np.unique(size)
    for share in NARROWER:
        smallest = distinct[-max(1, round(share * len(distinct)))]
        if _passing(found, law, least, size >= smallest):
            return f"no other law passes, but this one does from {_range(found, float(smallest))}"
    return "no other law and no narrower range passes; more runs where it bends, or rates tuned for each size, may help"


def _others(found: Fit, law: Law) -> list[Law]:
    """Return the laws of the same inputs, with a few parameters more at the most, that so many points can carry."""
    distinct = len(np.unique(settings_of_rows(found.engine.points.inputs)))
    most = min(len(law.params) + (MORE_JOINT if law.joint else MORE), distinct // SETTINGS)
    able = [
        one for one in LAWS.values() if one.inputs == law.inputs and one.name != law.name and len(one.params) <= most
    ]
    return sorted(able, key=lambda one: len(one.params))


def _passing(found: Fit, law: Law, settings: Settings, mask: Array) -> Fit | None:
    """Return a law's fit to some of the points if it is sound: at its optimum, by its lack of fit and its hold-out."""
    points = found.engine.points.take(mask)
    try:
        check(points, law)
        bare = fit_points(points, law, y=found.y, goal=settings.goal, how=settings.how)
        if bare.certificate.status != "ok":
            return None
        lack = lack_in(bare)
        if wrong_in(bare, lack):
            return None
        how = replace(settings.how, begin=bare.engine.theta[:, None], steps=AGAIN)
        how = replace(how, resamples=RESAMPLES, most_refitted=0, resample="runs", interval="percentile")
        again = fit_points(points, law, y=found.y, goal=settings.goal, how=how)
    except Refusal:
        return None
    if again.certificate.status != "ok":
        return None
    ahead = hold_out(again, law, replace(settings, how=how))
    return None if weigh_hold_out(lack, ahead).reasons else again


def _exact(passing: Fit, law: Law, settings: Settings) -> Fit | None:
    """Return the fit by the user's objective from where least squares ended, if it is at an optimum of that."""
    how = replace(settings.how, resamples=0, begin=passing.engine.theta[:, None])
    try:
        exact = fit_points(passing.engine.points, law, y=passing.y, goal=settings.goal, how=how)
    except Refusal:
        return None
    return exact if exact.certificate.status == "ok" else None


def _range(found: Fit, least: float) -> str:
    """Write the smallest size of a range by the names of its inputs."""
    columns = [column for name, column in found.engine.points.columns.items() if name != "D_unique"]
    return f"{' x '.join(columns)} = {number(least, 3)} on"
