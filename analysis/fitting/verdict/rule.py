"""The verdict on a fitted law: lack of fit, hold-out, and a remedy where it is weak.

The rule and its measured error rates are described in docs/laws.md and docs/coverage.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.certificate import weakened
from analysis.fitting.engine import fit_points
from analysis.fitting.points import check_determined, setting_numbers
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings
from analysis.fitting.verdict.drift import effect_of, estimate_drifts
from analysis.fitting.verdict.misfit import UNLIKELY, Misfit, misfit, rounding
from analysis.fitting.verdict.own_holdout import RESAMPLES, OwnHoldOut, hold_out
from analysis.fitting.verdict.run_residuals import run_means
from analysis.fitting.verdict.two_groups import TwoGroups, two_groups
from analysis.laws import LAWS, Law
from analysis.laws.base import Array
from analysis.numbers import entry, number, p_value, percent

GROSS = 2.0
"""Ratio of systematic error to run noise above which a lack of fit alone makes the law weak (see also `FAR`)."""
AHEAD = 3.0
"""Multiple of the largest of each input at which the effect of a drift is evaluated."""
MOVED = 0.005
"""Change of the forecast there (share of y) from which a significant drift makes the law weak."""
GROUPS = 0.02
"""Distance between two groups of runs (share of y) that makes the law weak; rounded losses show less."""
SMALL = 1e-3
"""Systematic error (share of y) that is negligible: losses are published with three decimals."""
FAR = 0.01
"""Hold-out or systematic error (share of y) from which a law is weak."""
SURE = 2.0
"""Hold-out error over the half-width of its 95 % interval from which a hold-out alone makes the law weak."""
LIKELY = 0.5
"""The same threshold if there is a lack of fit too: about one standard deviation."""
NARROWER = (0.8, 0.65, 0.5)
"""Fractions of the distinct sizes (the largest ones) on which a weak law is fitted again; longest first."""
MORE, MORE_JOINT = 6, 4
"""Additional parameters allowed to an alternative law: in one variable (a floor to two breaks), and in N and D."""
SETTINGS = 3
"""Distinct settings per parameter that an alternative law requires."""
STEPS = 40
"""Maximum number of least-squares steps for an alternative law."""
AGAIN = 10
"""Maximum number of steps of its refits, such as the hold-out on the smaller two thirds of the sizes."""
STARTS = 3
"""Number of drawn starts used for the laws and ranges tried as a remedy: the best ones."""


@dataclass(frozen=True)
class Verdict:
    """The reasons that make a law weak, and remarks that do not.

    supported: extrapolation factor (over the largest fitted size) at which the hold-out passed; None where none did.
    """

    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    supported: float | None = None


def with_verdict(found: Fit, law: Law, settings: Settings, *, remedies: bool = True) -> Fit:
    """Add the verdict from lack of fit and hold-out to a fit's certificate, with a remedy where the law is weak.

    settings: of the fit. remedies: whether to search for one. Inner fits (hold-outs, alternative laws, narrower
    ranges) get no verdict.
    """
    with np.errstate(all="ignore"):
        verdict = _judge_law(found, law, settings)
        if verdict.reasons and remedies:
            last = f"{verdict.reasons[-1]}; {_remedy(found, law, settings)}"
            verdict = replace(verdict, reasons=(*verdict.reasons[:-1], last))
    judged = with_reasons(found, verdict.reasons)
    certificate = replace(judged.certificate, supported=verdict.supported)
    return replace(judged, certificate=certificate, warnings=(*judged.warnings, *verdict.remarks))


def with_reasons(found: Fit, reasons: tuple[str, ...]) -> Fit:
    """Mark a fit as weak for the given reasons; unchanged if there are none."""
    warnings = (*found.warnings, *(f"weak fit: {reason}" for reason in reasons))
    return replace(found, certificate=weakened(found.certificate, reasons), warnings=warnings)


def _judge_law(found: Fit, law: Law, settings: Settings) -> Verdict:
    """Judge a fit by its lack of fit and, where that does not decide, by its hold-out."""
    lack, tested = misfit(found.engine, found.lack_of_fit), hold_out(found, law, settings)
    if wrong := _decisive_fault(found, lack):
        return Verdict(reasons=(wrong,), supported=_passed_factor(tested))
    return weigh_hold_out(lack, tested)


def _decisive_fault(found: Fit, lack: Misfit | None) -> str:
    """Describe a lack of fit, two groups or a drift that makes the law weak whatever its hold-out; '' if none."""
    if lack and is_decisive(lack):
        return _lack_words(lack)
    groups = two_groups(*run_means(found.engine))
    if groups and groups.apart > GROUPS:
        return _groups_words(groups)
    return "" if _is_significant(lack) else drift_words(found)


def _passed_factor(tested: OwnHoldOut | None) -> float | None:
    """Return the extrapolation factor at which a hold-out passed; None where it failed or there is none."""
    return tested.factor if tested and abs(tested.error) <= max(FAR, tested.reach) else None


def weigh_hold_out(lack: Misfit | None, tested: OwnHoldOut | None) -> Verdict:
    """Decide by the hold-out error; the threshold is lower if there is a lack of fit too."""
    there = _is_significant(lack)
    remarks = (_lack_words(lack),) if lack and there else ()
    if tested is None:
        return Verdict(remarks=remarks)
    off = abs(tested.error)
    if off < FAR or off < tested.reach * (LIKELY if there else SURE):
        return Verdict(remarks=remarks, supported=_passed_factor(tested))
    return Verdict(reasons=(*remarks, _hold_out_words(tested)))


def _is_significant(lack: Misfit | None) -> bool:
    """Tell whether there is a significant lack of fit that is not negligible."""
    return lack is not None and lack.p_value < UNLIKELY and lack.systematic > SMALL


def is_decisive(lack: Misfit) -> bool:
    """Tell whether a lack of fit makes the law weak whatever its hold-out."""
    own = lack.systematic
    large = own > max(SMALL, GROSS * lack.noise) or own > FAR
    return lack.p_value < UNLIKELY and large


def drift_words(found: Fit) -> str:
    """Describe the most significant drift along an input that moves forecasts; '' if there is none."""
    engine = found.engine
    seen = estimate_drifts(engine)
    best = min(seen, key=lambda one: one.p_value, default=None)
    rounded = rounding(engine.points.y) > 2 * MOVED * float(np.median(np.abs(engine.points.y)))
    if best is None or best.p_value * len(seen) > UNLIKELY or rounded:
        return ""
    corner = {name: np.array([x.max() + np.log(AHEAD)]) for name, x in engine.problem.inputs.items()}
    moved = best.mean * float(effect_of(best, engine, corner)[0])
    if abs(moved) < MOVED:
        return ""
    column = engine.points.columns[best.term.name]
    return (
        f"{found.y} drifts from the law by {percent(best.mean)} of its median per decade of {column} "
        f"({p_value(best.p_value)}): {percent(abs(moved))} at {number(AHEAD)} times the largest {column}"
    )


def _lack_words(lack: Misfit) -> str:
    """Describe the size of a lack of fit and the noise it was tested against."""
    what = {
        "seeds": "the law misses the means of its settings by more than the seeds explain",
        "structure": "the law misses its points by more than their noise explains",
    }[lack.against]
    return (
        f"{what}: by {percent(lack.systematic)}, while runs scatter by {percent(lack.noise)} ({p_value(lack.p_value)})"
    )


def _groups_words(groups: TwoGroups) -> str:
    """Describe the distance between two groups of runs."""
    return (
        f"the runs fall into two groups of {groups.few} and {groups.many}, {percent(groups.apart)} apart: they scatter "
        f"by {percent(groups.inside)} about two curves, by {percent(groups.together)} about one; two data sets?"
    )


def _hold_out_words(tested: OwnHoldOut) -> str:
    """Describe the hold-out error of a law."""
    side = "low" if tested.error > 0 else "high"
    return (
        f"fitted without the largest third, it predicts that third {percent(abs(tested.error))} too {side}, "
        f"beyond the {percent(tested.reach)} of its 95 % interval"
    )


def _remedy(found: Fit, law: Law, settings: Settings) -> str:
    """Name a remedy for a weak law: another law that passes, else the longest range on which this one does, else runs.

    The search uses least squares, which takes a third of the steps, with intervals from the sandwich formula.
    """
    search = replace(settings.search, resamples=0, starts=None, majority=True, kept=STARTS, steps=STEPS)
    least = replace(settings, objective=replace(settings.objective, name="lsq"), search=search)
    every = np.ones(found.n_points, dtype=bool)
    for other in _others(found, law):
        if (passing := _passing(found, other, least, every)) and (exact := _exact(passing, other, settings)):
            numbers = ", ".join(f"{name} {entry(name, value)}" for name, value in exact.params.items())
            return f"{other.name} passes ({numbers})"
    size = found.engine.points.size
    distinct = np.unique(size)
    for share in NARROWER:
        smallest = distinct[-max(1, round(share * len(distinct)))]
        if _passing(found, law, least, size >= smallest):
            return f"no other law passes, but this one does from {_range(found, float(smallest))}"
    return "no other law and no narrower range passes; more runs where it bends, or rates tuned for each size, may help"


def _others(found: Fit, law: Law) -> list[Law]:
    """Return the other laws in the same inputs with few enough parameters, fewest first."""
    distinct = len(np.unique(setting_numbers(found.engine.points.inputs)))
    most = min(len(law.params) + (MORE_JOINT if law.joint else MORE), distinct // SETTINGS)
    able = [
        one for one in LAWS.values() if one.inputs == law.inputs and one.name != law.name and len(one.params) <= most
    ]
    return sorted(able, key=lambda one: len(one.params))


def _passing(found: Fit, law: Law, settings: Settings, mask: Array) -> Fit | None:
    """Return the fit of a law to the points in mask if its certificate, lack of fit and hold-out pass; else None."""
    points = found.engine.points.take(mask)
    try:
        check_determined(points, law)
        bare = fit_points(points, law, settings)
        if bare.certificate.status != "ok":
            return None
        lack = misfit(bare.engine, bare.lack_of_fit)
        if _decisive_fault(bare, lack):
            return None
        search = replace(settings.search, begin=bare.engine.column, steps=AGAIN)
        search = replace(search, resamples=RESAMPLES, most_refitted=0, resample="runs", interval="percentile")
        settings = replace(settings, search=search)
        again = fit_points(points, law, settings)
    except Refusal:
        return None
    if again.certificate.status != "ok":
        return None
    tested = hold_out(again, law, settings)
    return None if weigh_hold_out(lack, tested).reasons else again


def _exact(passing: Fit, law: Law, settings: Settings) -> Fit | None:
    """Refit with the user's objective, starting from the least-squares solution; None unless its certificate is ok."""
    search = replace(settings.search, resamples=0, begin=passing.engine.column)
    try:
        exact = fit_points(passing.engine.points, law, replace(settings, search=search))
    except Refusal:
        return None
    return exact if exact.certificate.status == "ok" else None


def _range(found: Fit, least: float) -> str:
    """Write the smallest size of a range with the columns of its inputs."""
    columns = [column for name, column in found.engine.points.columns.items() if name != "D_unique"]
    return f"{' × '.join(columns)} = {number(least, 3)} on"
