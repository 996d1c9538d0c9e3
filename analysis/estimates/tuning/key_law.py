"""A power law key = a N^b D^c fitted to a key's optima, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.estimates.powerline import DRAWS, exceeds
from analysis.fitting.display.plain import PlainData
from analysis.fitting.intervals import percentile

VARIES = 1.5
"""Minimum ratio of largest to smallest N (or D) for fitting the key's exponent in it."""

ALIKE = 0.97
"""Correlation of log N and log D from which their exponents are not identified separately."""

SCATTERED = "the optima scatter about their law more than noise explains; its intervals are of that scatter"


@dataclass(frozen=True)
class KeyLaw(PlainData):
    """key = height * prod((x / pivot)^exponent), the inputs being N, D or one of the two.

    draws: (k, 1 + inputs), resampled (log height, exponents); intervals: of the exponents, and of the height as
    "height"; interval_from: resamples, scatter or none.
    """

    height: float
    level: float
    interval_from: str
    n: int
    exponents: Mapping[str, float]
    pivots: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    warnings: tuple[str, ...]
    draws: np.ndarray = field(repr=False)

    def predict(self, inputs: Mapping[str, np.ndarray | float]) -> np.ndarray:
        """Return the key at given N and D."""
        return np.exp(self._log(np.array([np.log(self.height), *self.exponents.values()]), inputs))

    def interval(self, inputs: Mapping[str, np.ndarray | float]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the interval (low, high) of the key at given N and D; None without draws."""
        if not len(self.draws):
            return None
        values = np.stack([self._log(draw, inputs) for draw in self.draws])
        low, high = np.exp(percentile(values.T, self.level)).T
        return low, high

    def _log(self, coefficients: np.ndarray, inputs: Mapping[str, np.ndarray | float]) -> np.ndarray:
        value = np.asarray(coefficients[0], dtype=float)
        for slope, name in zip(coefficients[1:], self.exponents, strict=True):
            value = value + slope * np.log(np.asarray(inputs[name], dtype=float) / self.pivots[name])
        return value

    def rule(self) -> str:
        """Return the law as an expression for a sweep's `set:`."""
        parts = [f"{self.height:.3g}"]
        for name, slope in self.exponents.items():
            parts.append(f"({name} / {float(f'{self.pivots[name]:.3g}'):g}) ** {slope:.3f}")
        return " * ".join(parts)


def fit_key_law(
    inputs: Mapping[str, np.ndarray], log_key: np.ndarray, *, draws: np.ndarray, level: float, seed: int = 0
) -> KeyLaw | None:
    """Regress the log key on log N and log D by least squares; None where there are too few optima.

    inputs: N and D of each optimum, (n,); draws: (k, n), resampled log keys (NaN: no optimum in the resample). An input
    that hardly varies, or is collinear with another, is left out with a sentence. Where the residuals exceed what the
    draws explain, the intervals come from the residuals, with a warning.
    """
    chosen, warnings = _determined(inputs)
    design, pivots = _design(chosen, len(log_key))
    n, p = design.shape
    if n < p + 1:
        return None
    coefficients, *_ = np.linalg.lstsq(design, log_key, rcond=None)
    residual = log_key - design @ coefficients
    complete = draws[np.isfinite(draws).all(axis=1)] if draws.size else np.empty((0, n))
    resampled, origin = complete @ np.linalg.pinv(design).T, "resamples"
    if n > p + 1 and (not len(complete) or exceeds(residual, complete, n - p)):
        warnings += (SCATTERED,) if len(complete) else ()
        resampled, origin = _from_scatter(design, coefficients, residual, seed), "scatter"
    intervals: dict[str, tuple[float, float]] = {}
    if len(resampled):
        ends = percentile(resampled.T, level)
        ends[0] = np.exp(ends[0])
        intervals = {name: (low, high) for name, (low, high) in zip(["height", *chosen], ends.tolist(), strict=True)}
    return KeyLaw(
        height=float(np.exp(coefficients[0])),
        exponents=dict(zip(chosen, coefficients[1:].tolist(), strict=True)),
        pivots=pivots,
        intervals=intervals,
        level=level,
        interval_from=origin if len(resampled) else "none",
        n=n,
        draws=resampled,
        warnings=warnings,
    )


def _determined(inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return the inputs whose exponents the optima identify, and sentences on the others."""
    chosen = {name: x for name, x in inputs.items() if x.max() >= VARIES * x.min()}
    left = [name for name in inputs if name not in chosen]
    warnings = tuple(f"{name} hardly varies among the optima: the law does not depend on it" for name in left)
    if len(chosen) == 2:
        first, second = chosen.values()
        if abs(np.corrcoef(np.log(first), np.log(second))[0, 1]) > ALIKE:
            last = list(chosen)[-1]
            del chosen[last]
            warnings += (f"{last} moves with {next(iter(chosen))} among the optima: their effects are one exponent",)
    return chosen, warnings


def _design(chosen: Mapping[str, np.ndarray], n: int) -> tuple[np.ndarray, dict[str, float]]:
    """Return the design matrix (n, 1 + inputs), and each input's geometric mean."""
    pivots = {name: float(f"{np.exp(np.log(x).mean()):.3g}") for name, x in chosen.items()}
    columns = [np.log(x / pivots[name]) for name, x in chosen.items()]
    return np.stack([np.ones(n), *columns], axis=1), pivots


def _from_scatter(design: np.ndarray, coefficients: np.ndarray, residual: np.ndarray, seed: int) -> np.ndarray:
    """Draw coefficients (`DRAWS`, p) from the multivariate t distribution of a regression with these residuals."""
    n, p = design.shape
    scale = np.sqrt((residual**2).sum() / (n - p))
    root = np.linalg.cholesky(np.linalg.inv(design.T @ design))
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((DRAWS, p)) @ root.T
    return coefficients + scale * normal * np.sqrt((n - p) / rng.chisquare(n - p, size=(DRAWS, 1)))
