"""Training faults that make a law weak: few steps, undertraining, chance level, repeats, rates, grid edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.fitting.certificate import LEVEL
from analysis.fitting.intervals import percentile
from analysis.fitting.points import Points
from analysis.fitting.result import Fit
from analysis.fitting.seeds import cell_numbers
from analysis.fitting.verdict.kind_effects import added_terms
from analysis.fitting.verdict.misfit import UNLIKELY
from analysis.fitting.verdict.run_residuals import ODD, clipped
from analysis.fitting.verdict.serial_correlation import serial_correlation
from analysis.laws import Law
from analysis.laws.base import Array
from analysis.numbers import measured, number, p_value, percent
from analysis.table.recognise.roles import role_of

FEW_STEPS = 100
"""Steps below which a run is still in the initial phase of training."""
MANY = 1 / 3
"""Share of the runs from which their fault makes the law weak."""
STEEP, STEEPER = 0.3, 2.0
"""A run is undertrained if its final -d log y / d log D exceeds the first, and the second times the law's own."""
AT_CHANCE = 0.95
"""Share of the constant predictor's loss from which a run counts as at chance level."""
REPEATED = 4.0
"""Epochs up to which repeated examples are nearly as good as new ones (Muennighoff et al. 2023, section 6)."""
MOST = 0.5
"""Share of the scatter about a law of one variable that N or D explains from which the law is weak."""
OFF = 0.01
"""Relative excess over the loss at a setting's best rate from which a run's rate counts as mistuned."""
PLATEAU = ("shifted", "m4", "bnsl1", "bnsl2")
"""Laws that model an initial plateau at chance level."""
FEWEST_BUDGETS = 3
"""Minimum number of budgets, of sizes of each, and of settings with several rates."""
LOCATED = 2.0
"""Ratio of the ends of the optimal N's interval up to which it counts as known, even outside the sizes run."""
NEAR = 4.0
"""Factor beyond the sizes run up to which an optimum is known: farther off it rests on the form of the law alone."""
SERIAL = 0.005
"""Significance level of the correlation of neighbouring rows."""
ALIKE = 5e-4
"""Minimum deviation (share of y, rms) that neighbouring rows share; less hardly changes an interval."""
FAR = 0.01
"""Minimum distance from the law (share of y) of a reported outlier."""


def judge_runs(found: Fit, law: Law) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a sentence, with a remedy, for each training fault that makes the law weak, and remarks that do not."""
    points = found.engine.points
    with np.errstate(all="ignore"):
        beyond = _distances_beyond(found, law)
        outside, known = tuple(_optimum_outside(beyond)), _is_optimum_known(found, beyond)
        runs = (*_run_faults(found, law, points), *_other_size(found), *_rate_faults(points), *_curve_rows(found))
        faults = (*runs, *(() if known else outside), *_largest_runs_off(found))
        return faults, (*_outlier_remark(found), *(outside if known else ()))


def _outlier_remark(found: Fit) -> Iterator[str]:
    """Report the number of outliers and the farthest of them."""
    far, points = _outliers(found), found.engine.points
    if not far.any():
        return
    worst = int(np.argmax(np.abs(found.engine.residuals)))
    at = {column: float(points.inputs[name][worst]) for name, column in points.columns.items()}
    yield (
        f"{int(far.sum())} of {points.n} points lie far from the law, the farthest with {found.y} "
        f"{measured(float(points.y[worst]))} at {', '.join(f'{name} = {number(x, 3)}' for name, x in at.items())}, "
        f"where the law gives {measured(float(found.predict(at)[0]))}: is it another unit, or a failed run?"
    )


def _other_size(found: Fit) -> Iterator[str]:
    """Report N or D that explains most of the runs' scatter about a law of one other variable."""
    points, rest = found.engine.points, clipped(found.engine.residuals)
    (name, own), *others = points.inputs.items()
    column = points.columns[name]
    role = role_of(column)
    own_size = role.name if role else column.partition("_")[0]
    if others or float(np.std(rest)) < FAR:
        return
    for size in ("N", "D"):
        values = points.details.get(size)
        if size == own_size or values is None or not np.isfinite(values).all():
            continue
        x, other = (np.log(one) - np.log(one).mean() for one in (own, values))
        added = added_terms(rest, np.stack([np.ones_like(x), x, x**2]), np.stack([other, other**2, x * other]))
        p, share = added or (1.0, 0.0)
        if share > MOST and p < UNLIKELY:
            which = "the frontier" if own_size == "C" else f"runs of one {size} (--where)"
            yield (
                f"{percent(share)} of the runs' scatter about this law of {column} goes with {size}: "
                f"fit {which}, or a law of N and D"
            )
            return


def _curve_rows(found: Fit) -> Iterator[str]:
    """Report neighbouring rows that deviate alike: points of learning curves, each counted as a run."""
    engine = found.engine
    seen = serial_correlation(engine.points, engine.residuals, engine.slopes)
    if seen and seen.p_value < SERIAL and seen.common > ALIKE:
        yield (
            f"neighbouring rows deviate alike (correlation {number(seen.value, 2)}, {p_value(seen.p_value)}), as those "
            "of one run's curve do, and each counts as a run: name their run with --run-column, or keep one row a run; "
            "where each is a run of its own (--run-column none), the law may be wrong"
        )


def _outliers(found: Fit) -> Array:
    """Return a mask of the outliers."""
    rest = found.engine.residuals
    near = rest[clipped(rest) == rest]  # their rms, as the median is small after a Huber fit
    scatter = float(np.sqrt((near**2).sum() / max(1, len(near) - len(found.engine.theta))))
    return np.abs(rest) > max(FAR, ODD * scatter)


def _largest_runs_off(found: Fit) -> Iterator[str]:
    """Report outliers that are the best runs, all to one side of the law: they may be no failures but a bend.

    The best are the largest or, where inputs are not in step, those with the lowest response by the law, or several
    that have the largest of one input.
    """
    far, rest = _outliers(found), found.engine.residuals
    if not far.any() or np.ptp(np.sign(rest[far])) != 0:
        return
    for rank, which in _orders(found, int(far.sum())):
        if far[rank >= rank[far].min()].all():
            yield (
                f"{which} {'lies' if far.sum() == 1 else 'lie'} {percent(float(np.abs(rest[far]).mean()))} "
                f"{'above' if rest[far][0] > 0 else 'below'} the law: a failed run, or a bend that begins there; "
                "repeat it with another seed, or run larger ones"
            )
            return


def _orders(found: Fit, k: int) -> Iterator[tuple[Array, str]]:
    """Yield orders in which k runs may be the last, with words for these runs."""
    points, rest = found.engine.points, found.engine.residuals
    yield points.size, "the largest run" if k == 1 else f"the {k} largest runs"
    by_law = np.round(rest - found.engine.problem.response, 9)
    yield by_law, f"the {'run' if k == 1 else f'{k} runs'} of lowest {found.y} by the law"
    if k > 1:  # a single failed run has the largest of some input too often
        for name, x in points.inputs.items():
            yield x, f"the {k} runs of largest {points.columns[name]}"


def _run_faults(found: Fit, law: Law, points: Points) -> Iterator[str]:
    details, large = points.details, _largest(points)
    if "steps" in details and _common(few := details["steps"] < FEW_STEPS, large):
        least = number(float(np.nanmin(details["steps"])))
        yield (
            f"{_share(few)} took fewer than {FEW_STEPS} steps (as few as {least}), the mere start of training; "
            "use smaller batches or more examples"
        )
    if "slope" in details and _common(
        steep := details["slope"] < -np.maximum(STEEP, STEEPER * _own_slope(found)), large
    ):
        slope = number(float(np.nanmedian(details["slope"][steep])), 2)
        yield (
            f"{_share(steep)} still fell steeply at their end (as D^{slope}): undertrained; use longer runs, or higher "
            "learning rates"
        )
    if "chance" in details and found.y == "loss" and law.name not in PLATEAU:
        near = points.y > AT_CHANCE * details["chance"]
        if near.mean() >= MANY:
            yield f"{_share(near)} hardly left chance; m4 or bnsl1 fit such a start, or leave them out with --where"
    if "epochs" in details and law.joint and _common(repeated := details["epochs"] > REPEATED, large):
        most = number(float(np.nanmax(details["epochs"])), 3)
        yield (
            f"{_share(repeated)} repeat their examples more than {number(REPEATED)} times (up to {most}), which "
            f"{law.name} does not model; repeated and overfit do"
        )


def _rate_faults(points: Points) -> Iterator[str]:
    """Report settings run at several rates where mistuned rates are included or the best rate is at the edge."""
    if "rate" not in points.details:
        return
    rate, cell = points.details["rate"], cell_numbers(points)
    if "epochs" in points.details:  # runs on subsets of other sizes have best rates of their own
        apart = np.stack([cell, np.nan_to_num(points.details["epochs"])])
        cell = np.unique(apart, axis=1, return_inverse=True)[1].ravel()
    edge, off, several = 0, np.zeros(points.n, dtype=bool), 0
    for one in range(int(cell.max()) + 1):
        rows = np.flatnonzero((cell == one) & np.isfinite(rate))
        rates = np.unique(rate[rows])
        if len(rates) < 2:
            continue
        means = np.array([points.y[rows[rate[rows] == value]].mean() for value in rates])
        several += 1
        edge += int(np.argmin(means) in (0, len(rates) - 1))
        off[rows] = (means > means.min() * (1 + OFF))[np.searchsorted(rates, rate[rows])]
    if several and off.mean() > MANY / 2:
        cure = "`scaling tuned` of this table finds each setting's best rate, and a rule to train at"
        yield f"{_share(off)} had a rate known to cost more than {percent(OFF)}; {cure}"
    if several >= FEWEST_BUDGETS and edge > several / 2:
        yield f"the best rate is the smallest or largest tried at {edge} of {several} settings; try rates beyond it"


def _distances_beyond(found: Fit, law: Law) -> Array:
    """Return log N* / N of the nearest size for each budget (k,): 0 inside the sizes run, k = 0 for fewer budgets."""
    points = found.engine.points
    if not (law.joint and found.allocation):
        return np.zeros(0)
    N, size = points.inputs["N"], np.log2(points.inputs["N"]) + np.log2(points.inputs["D"])
    octave = np.floor(size - size.min() + 1e-9).astype(int)
    budgets = [octave == one for one in np.unique(octave) if len(np.unique(N[octave == one])) >= FEWEST_BUDGETS]
    if len(budgets) < FEWEST_BUDGETS:
        return np.zeros(0)
    middle = 2.0 ** np.array([size[rows].mean() for rows in budgets])
    best = found.split(middle * found.allocation.flops_per_nd)[0]
    low, high = (np.array([end(N[rows]) for rows in budgets]) for end in (np.min, np.max))
    return np.where(best < low, np.log(best / low), np.where(best > high, np.log(best / high), 0.0))


def _optimum_outside(beyond: Array) -> Iterator[str]:
    """Report where the law's optimal N lies outside the sizes run at most budgets."""
    outside = int((beyond != 0).sum())
    if outside > 2 / 3 * len(beyond):
        yield (
            f"the optimal N lies outside the sizes run at {outside} of {len(beyond)} budgets; "
            f"{'smaller' if (beyond < 0).sum() > (beyond > 0).sum() else 'larger'} models would bracket it"
        )


def _is_optimum_known(found: Fit, beyond: Array) -> bool:
    """Tell whether the optimal N is near the sizes run, with an interval within a factor `LOCATED` amid the budgets."""
    if not (found.allocation and len(beyond)) or found.engine.samples is None:
        return False
    if np.median(np.abs(beyond)) > np.log(NEAR):
        return False
    N, D = (np.log(found.engine.points.inputs[name]) for name in ("N", "D"))
    middle = float(np.exp((N + D).min() / 2 + (N + D).max() / 2))
    low, high = percentile(found.optimal_refits(middle * found.allocation.flops_per_nd)[:1], LEVEL)[0]
    return bool(high - low <= np.log(LOCATED))


def _own_slope(found: Fit) -> Array | float:
    """Return the law's -d log y / d log D at the runs; 0 for a law without D."""
    points = found.engine.points
    at = {column: points.inputs[name] for name, column in points.columns.items()}
    return -found.exponents(at)["D"] if "D" in at else 0.0


def _largest(points: Points) -> Array:
    """Return a mask of the largest third of the rows."""
    size = points.size
    return size >= np.quantile(size, 2 / 3)


def _common(fault: Array, large: Array) -> bool:
    """Tell whether a third of the rows (`MANY`), or half of the large ones, have the fault."""
    return bool(fault.mean() >= MANY or fault[large].mean() >= 1 / 2)


def _share(rows: Array) -> str:
    return f"{int(rows.sum())} of {len(rows)} runs"
