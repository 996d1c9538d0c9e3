"""Lack of fit: a law's error in excess of noise, tested against seeds or by structure in the residuals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import sqrt
from typing import Literal

import numpy as np

from analysis.fitting.objective import Engine
from analysis.fitting.seeds import LackOfFit
from analysis.fitting.verdict.run_residuals import clipped, run_means, tail
from analysis.laws.base import Array

DEGREE = 6
"""Highest degree of the polynomials tested."""
MOST_TERMS = 14
"""Maximum number of polynomial terms, lowest degrees first."""
BROAD = 3
"""Degree up to which all terms are used before higher powers of the size, and then all higher terms."""
UNLIKELY = 0.01
"""Significance level of a lack of fit."""
FEWEST = 5
"""Minimum residual degrees of freedom of a test."""
MOST_PERIODS = 8
"""Maximum number of periods of a wave within the data."""
PLACES = 4
"""Minimum number of distinct places along a direction per period of a wave."""
EDGE = 2
"""Minimum number of distinct places on each side of a break."""
END = 0.15
"""Share of the places, at the large end, over which a change of slope is tested."""
MOST_BREAKS = 16
"""Maximum number of places along a direction at which a break is tested."""
COARSE = 1e-3
"""Share of the median response above which a rounding step is taken into account."""
TINY = 1e-6
"""Share of a column's norm orthogonal to the others below which it counts as dependent on them."""


@dataclass(frozen=True)
class Misfit:
    """A lack-of-fit test: its p value, the noise of one run and the law's systematic error (both rms).

    noise and systematic are in the residuals' unit: shares of y, or of y's median for a fit in raw space.
    """

    p_value: float
    noise: float
    systematic: float
    against: Literal["seeds", "structure"]


def misfit(engine: Engine, lack: LackOfFit | None) -> Misfit | None:
    """Split the residuals into noise and the law's systematic error; None with too few points.

    Tests against the variance between seeds if there are repeats, and by structure where that test is not significant,
    as structure detects a local bend better. Where runs have several rows, which share the run's noise, only structure
    is tested, on run means. Half a rounding step is subtracted from the error.
    """
    found, y = _tested(engine, lack), engine.points.y
    step = rounding(y)
    if found is None or not step:
        return found
    own = max(0.0, found.systematic**2 - float(np.mean((step / 2 / y) ** 2)))
    return replace(found, systematic=sqrt(own))


def rounding(y: Array) -> float:
    """Return the decimal step to which responses (n,) were rounded, such as 0.1; 0 where negligible (`COARSE`)."""
    for decimals in range(4):
        step = 10.0**-decimals * 10 ** float(np.floor(np.log10(np.median(np.abs(y)))))
        if step > COARSE * np.median(np.abs(y)) and np.allclose(y / step, np.round(y / step), rtol=0, atol=1e-6):
            return step
    return 0.0


def _tested(engine: Engine, lack: LackOfFit | None) -> Misfit | None:
    """Test against seeds if possible, and by structure unless that test is significant."""
    if engine.points.n_runs == engine.points.n and lack is not None:
        among = Misfit(lack.p_value, lack.seed_scatter, lack.systematic, "seeds")
        bent = None if among.p_value < UNLIKELY else structure(*run_means(engine))
        return bent if bent and bent.p_value < UNLIKELY / 2 else among
    return structure(*run_means(engine))


def structure(residuals: Array, slopes: Array, logs: Array) -> Misfit | None:
    """Test whether residuals (n,) have structure in the log inputs (d, n) beyond the law's Jacobian (p, n).

    F tests of nested linear models: the law, linearised around the fit, against the law plus polynomials, one wave, one
    break or one bend at the end, along an input or the size. p values carry a Bonferroni correction for the terms
    tried. The noise is what the most significant model leaves; the systematic error is what it explains, less noise.
    """
    residuals, law = _orthogonal(residuals, slopes)
    columns = _break_columns(logs), _end_columns(logs)
    tests = (
        _bends(residuals, law, logs),
        _waves(residuals, law, logs),
        *(_single(residuals, law, one) for one in columns),
    )
    found = [one for one in tests if one]
    best = min(found, key=lambda one: one.p_value, default=None)
    return replace(best, p_value=min(1.0, best.p_value * len(found))) if best else None


def residual_deviation(residuals: Array, slopes: Array, logs: Array) -> float:
    """Return the standard deviation of residuals (n,) against which one additional term is tested.

    This is the noise of the runs; where polynomials show a lack of fit, their mean size per term is added.
    """
    return _deviations(residuals, slopes, logs)[1]


def residual_excess(residuals: Array, slopes: Array, logs: Array) -> float:
    """Return that deviation as a multiple of the standard deviation of residuals (n,): 1 without a lack of fit."""
    plain, deviation = _deviations(residuals, slopes, logs)
    return max(1.0, deviation / plain) if plain > 0 else 1.0


def _deviations(residuals: Array, slopes: Array, logs: Array) -> tuple[float, float]:
    """Return the standard deviation of residuals (n,), and with their mean size per polynomial term if that is more."""
    residuals, law = _orthogonal(residuals, slopes)
    spare = residuals.size - len(law)
    plain = sqrt(float((residuals**2).sum()) / max(1, spare))
    found = _bends(residuals, law, logs)
    if found is None or found.p_value >= UNLIKELY:
        return plain, plain
    return plain, sqrt(found.noise**2 + residuals.size * found.systematic**2 / min(MOST_TERMS, spare // 3))


def _orthogonal(residuals: Array, slopes: Array) -> tuple[Array, list[Array]]:
    """Return clipped residuals (n,) orthogonal to the law's slopes, and an orthonormal basis of those slopes."""
    residuals, law = clipped(residuals), _orthonormal(slopes, [], len(slopes))
    for direction in law:
        residuals = residuals - (direction * residuals).sum() * direction
    return residuals, law


def _bends(residuals: Array, law: list[Array], logs: Array) -> Misfit | None:
    """Test polynomials, up to the number of terms that the points allow."""
    spare = residuals.size - len(law)
    terms = _orthonormal(polynomials(logs), law, min(MOST_TERMS, spare // 3))[len(law) :]
    explained = sum(float((direction * residuals).sum()) ** 2 for direction in terms)
    return _nested(residuals, spare, explained, len(terms)) if terms else None


def _waves(residuals: Array, law: list[Array], logs: Array) -> Misfit | None:
    """Test the wave that explains most, over all lengths and directions."""
    explained = [
        sum(float((one * residuals).sum()) ** 2 for one in pair)
        for pair in (_orthonormal(columns, law, 2)[len(law) :] for columns in _wave_columns(logs))
        if len(pair) == 2
    ]
    found = _nested(residuals, residuals.size - len(law), max(explained), 2) if explained else None
    return replace(found, p_value=min(1.0, found.p_value * len(explained))) if found else None


def _single(residuals: Array, law: list[Array], columns: Array) -> Misfit | None:
    """Test one additional column: the one of (k, n) that explains most."""
    known = np.stack(law)
    size = np.sqrt((columns**2).sum(axis=1))
    for _ in range(2):  # twice: what rounding leaves the first time
        columns = columns - columns @ known.T @ known
    left = np.sqrt((columns**2).sum(axis=1))
    columns = columns[left > TINY * size] / left[left > TINY * size, None]
    if not len(columns):
        return None
    found = _nested(residuals, residuals.size - len(law), float(((columns @ residuals) ** 2).max()), 1)
    return replace(found, p_value=min(1.0, found.p_value * len(columns))) if found else None


def _nested(residuals: Array, spare: int, explained: float, terms: int) -> Misfit | None:
    """Return the F test of a model with `terms` additional terms, given its explained sum of squares.

    spare: degrees of freedom of the residuals (n,) before the terms are added.
    """
    freedom = spare - terms
    if freedom < FEWEST:
        return None
    noise = max(float((residuals**2).sum()) - explained, 0.0) / freedom
    if noise <= 0:
        return None
    systematic = max(0.0, explained - terms * noise) / residuals.size
    return Misfit(tail(explained / terms / noise, terms, freedom), sqrt(noise), sqrt(systematic), "structure")


def _break_columns(logs: Array) -> Array:
    """Return steps and slope changes (k, n) along each input and their mean, at least `EDGE` places from the ends."""
    found = []
    for along in _directions(logs):
        places = np.unique(np.round(along, 6))
        between = (places[EDGE - 1 : -EDGE] + places[EDGE : 1 - EDGE]) / 2
        some = np.linspace(0, len(between) - 1, min(MOST_BREAKS, len(between))).astype(int)
        for place in between[some]:
            found += [(along > place).astype(float), np.maximum(0, along - place)]
    return np.stack(found) if found else np.empty((0, logs.shape[1]))


def _end_columns(logs: Array) -> Array:
    """Return slope changes (k, n) that act on the largest share `END` of the places along each input and their mean."""
    found = []
    for along in _directions(logs):
        places = np.unique(np.round(along, 6))
        last = max(EDGE, round(END * len(places)))
        if len(places) > last:
            found.append(np.maximum(0, along - places[-last - 1 : -last + 1].mean()))
    return np.stack(found) if found else np.empty((0, logs.shape[1]))


def _directions(logs: Array) -> list[Array]:
    """Return the log inputs (d, n), each mapped to 0 .. 1, and their mean if there are several."""
    low, high = logs.min(axis=1, keepdims=True), logs.max(axis=1, keepdims=True)
    unit = (logs - low) / np.maximum(high - low, 1e-12)
    return [*unit, *([unit.mean(axis=0)] if len(unit) > 1 else [])]


def _wave_columns(logs: Array) -> Iterator[Array]:
    """Yield sine and cosine pairs (2, n) for each wavelength that the settings resolve, along inputs and their mean."""
    for along in _directions(logs):
        places = len(np.unique(np.round(along, 6)))
        for periods in np.arange(1.0, min(MOST_PERIODS, places / PLACES) + 0.01, 0.5):
            angle = 2 * np.pi * periods * along
            yield np.stack([np.sin(angle), np.cos(angle)])


def polynomials(logs: Array) -> Iterator[Array]:
    """Yield monomials of the log inputs (d, n), each mapped to -1 .. 1, by degree.

    Beyond degree `BROAD`, powers of the mean (a run's size) come first, as most misfit is a function of size.
    """
    low, high = logs.min(axis=1, keepdims=True), logs.max(axis=1, keepdims=True)
    unit = (2 * logs - low - high) / np.maximum(high - low, 1e-12)
    yield from _monomials(unit, range(BROAD + 1))
    yield from _monomials(unit.mean(axis=0, keepdims=True), range(BROAD + 1, DEGREE + 1))
    yield from _monomials(unit, range(BROAD + 1, DEGREE + 1))


def _monomials(unit: Array, degrees: range) -> Iterator[Array]:
    for degree in degrees:
        for chosen in combinations_with_replacement(range(len(unit)), degree):
            yield np.prod(unit[list(chosen)], axis=0)


def _orthonormal(columns: Iterable[Array], given: list[Array], most: int) -> list[Array]:
    """Extend an orthonormal basis by at most `most` columns (Gram-Schmidt)."""
    found = list(given)
    for column in columns:
        if len(found) == len(given) + most:
            break
        left, known = column, np.array(found).reshape(len(found), len(column))
        for _ in range(2):  # twice: what rounding leaves the first time
            left = left - (known @ left) @ known
        size = sqrt(float((left**2).sum()))
        if size > TINY * sqrt(float((column**2).sum())):
            found.append(left / size)
    return found
