"""The errors of a fitted law: of its parameters (normal), its systematic error, and those of responses that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.estimates.suggest.design import Features
from analysis.estimates.suggest.quantity import slopes_of
from analysis.estimates.suggest.request import column_of
from analysis.fitting.result import Fit
from analysis.laws.base import Array

if TYPE_CHECKING:
    import pandas as pd

REACH = 1.0
"""Prior standard deviation of log y over runs, candidates and targets due to one parameter: a ridge for what the runs
do not determine."""
GUESS, TRUST = 3e-3, 2.0
"""Prior noise of log y, and the number of runs that it counts for."""
OWN = 2.0
"""Assumed ratio of a law's systematic error to run noise: 2 was better than 1 on the Farseer runs (docs/coverage.md).
"""
WAVES = 48
"""Number of random features (Rahimi and Recht 2007) that model a law's systematic error, smooth in its log inputs."""


@dataclass(frozen=True)
class Posterior:
    """The errors that a law leaves at candidates and targets, and the expected log y at both.

    whole: for choosing runs for a response, with the law's systematic error. noise: variance of log y of one run.
    slopes, of_target: derivatives of log y at the candidates, and of the log quantity at the targets, by the parameters
    (p, …); covariance: of the parameters (p, p). These three leave out the law's systematic error, as the fit's
    interval does.
    """

    whole: Features
    expected: Array
    noise: float
    slopes: Array
    of_target: Array
    covariance: Array
    runs: int

    @property
    def alone(self) -> Features:
        """Features without the law's systematic error: for intervals, and to choose runs for a quantity of the law."""
        return Features(self.slopes, self.of_target, self.noise, self.covariance, self.covariance)

    def forecast(self, i: int) -> tuple[float, float]:
        """Return the expected log y of one run of candidate i, and its variance including noise."""
        slope = self.slopes[:, i]
        return float(self.expected[i]), self.noise + float(slope @ self.covariance @ slope)

    def half_width(self, chosen: list[int], z: float) -> float:
        """Return the half-width of the interval at the targets (root mean square) after the chosen candidates."""
        seen = self.slopes[:, chosen]
        after = np.linalg.inv(np.linalg.inv(self.covariance) + seen @ seen.T / self.noise)
        variance = np.einsum("pt,pq,qt->t", self.of_target, after, self.of_target)
        return z * float(np.sqrt(variance.mean()))


def posterior_of(
    found: Fit, pool: pd.DataFrame, target: pd.DataFrame, of: str, theta: Array | None = None
) -> Posterior:
    """Linearise a law about its fit, or about other inner parameters (p,).

    The parameters have a wide normal prior (`REACH`, and the law's bounds). The law's systematic error is a smooth
    random function of size `OWN` times the noise. A fit takes it for noise, so it biases the parameters, and more so
    the farther the targets lie from the runs.
    """
    if theta is not None:
        found = replace(found, engine=replace(found.engine, theta=theta))
    problem, theta = found.engine.problem, found.engine.theta
    known, free, target = problem.inputs, inputs_of(found, pool, "the pool"), completed(found, target)
    wanted = inputs_of(found, target, "the target") if of == found.y else None
    noise = noise_of(found)
    seen, slopes = curve_slopes(found, known), curve_slopes(found, free)
    of_target = slopes_of(found, target, of) if wanted is None else curve_slopes(found, wanted)
    low, high = problem.law.box()
    every = np.concatenate([seen, slopes] if wanted is None else [seen, slopes, of_target], axis=1)
    width = np.minimum((high - low) / 4, REACH / np.maximum(np.sqrt((every**2).mean(axis=1)), 1e-12))
    own, scaled = own_errors((known, free, wanted), of_target.shape[1], noise), seen * width[:, None]
    weighted = scaled * found.engine.points.weights / noise
    assumed = posterior_covariance(scaled, weighted)
    F = [np.concatenate([S * width[:, None], E]) for S, E in ((slopes, own[1]), (of_target, own[2]))]
    whole = Features(F[0], F[1], noise, fit_errors(assumed, weighted, own[0]), assumed)
    covariance = width[:, None] * assumed * width
    with np.errstate(all="ignore"):
        h = problem.law.evaluate(theta[:, None], {n: np.append(free[n], wanted[n] if wanted else []) for n in free}).h
    return Posterior(whole, h[0] + problem.units.log_y, noise, slopes, of_target, covariance, found.n_runs)


def completed(found: Fit, target: pd.DataFrame) -> pd.DataFrame:
    """Add N and D to a target that has C, for a law with an allocation: the optimal ones if it has C alone."""
    given = {"N", "D"} & set(target.columns)
    if found.allocation is None or "C" not in target.columns or len(given) == 2:
        return target
    if given:
        (one,), (other,) = given, {"N", "D"} - given
        product = target["C"].astype(float) / found.allocation.flops_per_nd
        return target.assign(**{other: product / target[one].astype(float)})
    N, D = found.split(target["C"].to_numpy(dtype=float))
    return target.assign(N=N, D=D)


def posterior_covariance(slopes: Array, weighted: Array) -> Array:
    """Return the posterior covariance (p, p) of unit parameters after responses with slopes (p, n).

    weighted: the slopes times each response's weight over its noise variance.
    """
    inverse = np.eye(len(slopes)) + weighted @ slopes.T
    return np.linalg.inv((inverse + inverse.T) / 2)


def fit_errors(assumed: Array, weighted: Array, own: Array) -> Array:
    """Return the covariance (R, R) of the errors of fitted parameters (p), and of the law's systematic error (R - p).

    assumed: covariance of the parameters where the law is right; own: features (R - p, n) of its error at the runs.
    """
    bias = -assumed @ weighted @ own.T
    return np.block([[assumed + bias @ bias.T, bias], [bias.T, np.eye(len(own))]])


def noise_of(found: Fit) -> float:
    """Return the variance of log y of one run from the residuals and a prior (`GUESS`, `TRUST`).

    For a Huber objective of small width it is inflated by E psi^2 / (E psi')^2 (Huber 1964).
    """
    rest, objective = found.engine.residuals, found.engine.problem.objective
    free = max(0.0, len(rest) - len(found.params))
    variance = (TRUST * GUESS**2 + float((rest**2).sum())) / (TRUST + free)
    if objective.name == "lsq":
        return variance
    scale = float(np.sqrt(variance))
    width = objective.delta if objective.name == "huber" else 1e-9
    return variance * huber_variance(width / scale)


def huber_variance(width: float) -> float:
    """Return the variance of Huber's estimate of a normal mean over that of the mean. width: in standard deviations."""
    from scipy.stats import norm

    inside = 2 * norm.cdf(width) - 1
    if inside < 1e-6:
        return float(np.pi / 2)
    square = inside - 2 * width * norm.pdf(width) + width**2 * (1 - inside)
    return float(square / inside**2)


def inputs_of(found: Fit, rows: pd.DataFrame, where: str) -> dict[str, Array]:
    """Return the law's inputs in rows as centred logarithms (m,). Raises `UserError`."""
    units, out = found.engine.problem.units, {}
    for name, column in found.engine.points.columns.items():
        out[name] = np.log(column_of(rows, column, where, found.law)) - units.log_inputs[name]
    return out


def curve_slopes(found: Fit, inputs: Mapping[str, Array]) -> Array:
    """Return d log y / d inner parameter at inputs, (p, m)."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(found.engine.problem.law.evaluate(found.engine.column, inputs).slopes())


def own_errors(sets: tuple[Mapping[str, Array] | None, ...], targets: int, noise: float) -> list[Array]:
    """Return features (WAVES, …) of the law's systematic error; its length scale is one standard deviation per input.

    Zero at targets that are not responses.
    """
    spans = {
        name: max(1e-6, float(np.std(np.concatenate([one[name] for one in sets if one])))) for name in sets[0] or ()
    }
    rng = np.random.default_rng(0)
    directions, shift = rng.standard_normal((WAVES, len(spans))), rng.uniform(0, 2 * np.pi, (WAVES, 1))
    size = OWN * np.sqrt(2 * noise / WAVES)

    def features(at: Mapping[str, Array]) -> Array:
        return size * np.cos(directions @ np.stack([at[name] / span for name, span in spans.items()]) + shift)

    return [np.zeros((WAVES, targets)) if one is None else features(one) for one in sets]
