"""The effect of pooling several kinds of runs (data sets, optimisers, rates) on exponents; refused where large."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal
from analysis.fitting.certificate import LEVEL
from analysis.fitting.intervals import percentile
from analysis.fitting.verdict.kind_effects import (
    design_of,
    difference_p_value,
    exponents_of_kinds,
    fit_with_factors,
    is_identified,
    is_smooth,
    size_dependence,
    standard_errors,
)
from analysis.numbers import exponent, interval, p_value, percent
from analysis.table.remarks import MOST_SAID, pooled_columns
from analysis.wording import in_quotes, listed, ticked

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.table.mixtures import Mixture

UNLIKELY = 0.01
"""Significance level of a difference between kinds."""
SURELY, MOST = 1e-4, 0.5
"""Significance, and share of the scatter, from which kinds that differ from size to size are refused."""
SURE = 4.0
"""Minimum difference between the exponents of two kinds that differ, in standard deviations."""
LITTLE = 0.1
"""Minimum difference between the exponents of two kinds that differ, as a share of the exponent."""
SCREENED = 0.02
"""With many columns, those whose linear p value is at least this are not examined further."""
ONE_WITH_SIZE = "; each value goes with one {}: their effects are one"
CONFOUNDED = "; they vary with the sizes, so their effect on an exponent is unknown"
ALIKE = "; they do not differ visibly"


@dataclass(frozen=True)
class PoolingTest:
    """The pooling test of one column.

    finding: the end of its sentence. moves_exponent: whether pooling moves an exponent outside its interval.
    p_value: of the difference between the kinds.
    """

    mixture: Mixture
    finding: str
    moves_exponent: bool = False
    p_value: float = 1.0

    @property
    def differs(self) -> bool:
        """Whether its kinds were found to differ."""
        return self.p_value < 1


def with_pooling(found: Fit) -> Fit:
    """Add warnings on how pooling kinds of runs affects the exponents of a fit.

    Raises `Refusal` where an exponent moves outside its interval, unless the user pools that column.
    """
    mixtures, tests = found.engine.points.mixtures, dict[str, PoolingTest]()
    chances = {one.name: difference_p_value(found, one) for one in mixtures} if len(mixtures) > MOST_SAID else {}
    for mixture in sorted(mixtures, key=lambda one: chances.get(one.name, 0.0)):  # most significant first
        if chances.get(mixture.name, 0.0) < SCREENED:
            one = _test_column(found, mixture)
        else:
            one = PoolingTest(mixture, ALIKE if is_identified(found, design_of(mixture)) else CONFOUNDED)
        if one.moves_exponent and not mixture.pooled:
            raise Refusal(f"{mixture.words}{one.finding}; {_what_to_do(mixture)}")
        tests[mixture.name] = one
    tests = {name: _beside_others(found, one, [*tests.values()]) for name, one in tests.items()}
    warnings = _sentences([tests[mixture.name] for mixture in mixtures])
    return replace(found, warnings=(*found.warnings, *warnings)) if warnings else found


def _beside_others(found: Fit, one: PoolingTest, tests: list[PoolingTest]) -> PoolingTest:
    """Test kinds that look alike again beside the columns whose kinds differ, which may hide their difference."""
    others = [each.mixture for each in tests if each.differs]
    if one.finding != ALIKE or not others:
        return one
    p = difference_p_value(found, one.mixture, beside=others)
    if not 0 < p < UNLIKELY:
        return one
    return replace(
        one, finding=f"; they differ among runs of one {listed([each.name for each in others])} ({p_value(p)})"
    )


def _sentences(tests: list[PoolingTest]) -> list[str]:
    """Return a sentence per column; columns with the same finding, or with weaker differences, are grouped if many."""
    sentences, same = list[str](), defaultdict[str, list[PoolingTest]](list)
    differ = sorted((one for one in tests if one.differs), key=lambda one: (not one.moves_exponent, one.p_value))
    for one in tests:
        if not one.differs:
            same[one.finding].append(one)
    for finding, these in same.items():
        if len(these) > MOST_SAID:
            sentences.append(f"{pooled_columns([one.mixture.name for one in these])}{finding}")
        else:
            sentences += [f"{one.mixture.words}{finding}" for one in these]
    most = MOST_SAID if len(differ) <= MOST_SAID else MOST_SAID - 2
    worst, others = differ[:most], [one.mixture.name for one in differ[most:]]
    sentences += [f"{one.mixture.words}{one.finding}" for one in worst]
    return [*sentences, *([f"{pooled_columns(others)}; they differ too, less surely"] if others else [])]


def _test_column(found: Fit, mixture: Mixture) -> PoolingTest:
    """Test one column by fits to each kind alone, and by a fit with the kinds' effects removed."""
    columns = found.engine.points.columns
    if mixture.follows in columns.values():
        return PoolingTest(mixture, ONE_WITH_SIZE.format(mixture.follows))
    with np.errstate(all="ignore"):
        apart, moved = _differing_exponent(exponents_of_kinds(found, mixture)), fit_with_factors(found, mixture)
    if apart:
        return PoolingTest(mixture, f", and {apart}", moves_exponent=True, p_value=0.0)
    if moved is None:
        return PoolingTest(mixture, CONFOUNDED)
    p, share = (1.0, 0.0) if is_smooth(mixture) else size_dependence(found, mixture)
    if p < SURELY and share > MOST:
        finding = f", and {percent(share)} of the scatter about the law goes with how they differ from size to size"
        return PoolingTest(mixture, finding, moves_exponent=True, p_value=p)
    if not moved.p_value < UNLIKELY:
        return PoolingTest(mixture, ALIKE)
    ends = _exponent_intervals(found)
    outside = [name for name, value in moved.exponents.items() if not ends[name][0] <= value <= ends[name][1]]
    far = [name for name in outside if exponent(moved.exponents[name]) != exponent(found.params[name])]
    effects = [
        f"{name} would be {exponent(moved.exponents[name])}, where pooling gives {exponent(found.params[name])} "
        f"{interval(ends[name], exponent)}"
        for name in far or moved.exponents
    ]
    what = ", ".join(effects) or f"they differ ({p_value(moved.p_value)})"
    beside = "its effect taken out" if is_smooth(mixture) else "a factor of its own for each"
    return PoolingTest(mixture, f": with {beside}, {what}", bool(far), moved.p_value)


def _differing_exponent(own: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Name an exponent that differs between two kinds by more than `SURE` and `LITTLE`; empty where none does."""
    for (value, here), (other, there) in combinations(own.items(), 2):
        for name, (mean, deviation) in here.items():
            gap, sure = abs(mean - there[name][0]), SURE * float(np.hypot(deviation, there[name][1]))
            if gap > max(sure, LITTLE * abs(mean)):
                return f"{name} of {value} alone is {exponent(mean)}, of {other} alone {exponent(there[name][0])}"
    return ""


def _exponent_intervals(found: Fit) -> dict[str, tuple[float, float]]:
    """Return the intervals of the exponents at `LEVEL`: from the refits, or normal ones for a fit without."""
    engine, names = found.engine, list(found.engine.problem.law.exponents)
    if engine.samples is not None:
        drawn = found.params_of(engine.samples)
        return {name: tuple(percentile(np.atleast_1d(drawn[name]), LEVEL)) for name in names}
    many = NormalDist().inv_cdf((1 + LEVEL) / 2)
    wide = dict(zip(engine.problem.law.params, many * standard_errors(engine.problem, engine.theta), strict=True))
    return {name: (found.params[name] - wide[name], found.params[name] + wide[name]) for name in names}


def _what_to_do(mixture: Mixture) -> str:
    name, pooled = ticked(mixture.name), f'say with --pool "{mixture.name}" that it may differ'
    if is_smooth(mixture):
        return f"choose some with --where {in_quotes(f'{name} < …')}, or {pooled}"
    value = mixture.values[0] if mixture.numbers is not None else f"'{mixture.values[0]}'"
    return f"choose one with --where {in_quotes(f'{name} == {value}')}, or {pooled}"
