"""Linear regression on a power-law spectrum, whose scaling exponents are known: a test of the whole pipeline.

x_k ~ N(0, k^-b), y = sum over all k of theta_k x_k with k^-b theta_k^2 = k^-a, scaled to Var(y) = 1 (Bahri et al. 2021,
arXiv 2102.06701; Maloney et al. 2022, arXiv 2210.16859). A model of the first N features has the exponents alpha_N =
a - 1, alpha_D = min(a - 1, 2b), alpha_t = (a - 1) / b, alpha_C = (a - 1) / (b + 1), N* ~ C^(1 / (b + 1)).

Only the first `features` are given to a model; the sum over all others, infinitely many, is normal, independent of them
and of variance zeta(a, features + 1), so it is drawn as one number and nothing is truncated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from scaling.data.base import Arrays, Metric, Splits, Stream
from scaling.data.chance import mean_and_error
from scaling.data.made import MadeSet

ROWS = 256  # examples summed up at a time: what stays in the cache takes a tenth as long


@dataclass(frozen=True)
class Spectrum:
    """The distribution: `deviations`, `theta` (features,) float64 of the features; rest: variance of all others."""

    deviations: np.ndarray
    theta: np.ndarray
    rest: float

    def population_loss(self, weights: np.ndarray) -> float:
        """Return the expected squared error, in units of Var(y), of the weights of the leading features."""
        given = np.zeros_like(self.theta)
        flat = np.asarray(weights, dtype=np.float64).reshape(-1)
        given[: len(flat)] = flat
        return float(np.sum((self.deviations * (given - self.theta)) ** 2) + self.rest)


@dataclass(frozen=True, kw_only=True)
class LinearTeacher(MadeSet):
    """Regress y on features of power-law variance; `a` > 1: exponent of the signal, `b`: of the features' variance."""

    name: ClassVar[str] = "linear_teacher"
    metric: ClassVar[Metric] = "squared_error"
    n_validation: ClassVar[int] = 2_048
    n_test: ClassVar[int] = 4_096
    chunk: ClassVar[int] = 4_096

    classes: PositiveInt = 1
    features: PositiveInt = 512
    a: PositiveFloat = 1.75
    b: PositiveFloat = 1.25

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (features,)."""
        return (self.features,)

    @property
    def outputs(self) -> int:
        """One number is predicted."""
        return 1

    @property
    def draw_work(self) -> float:
        """The work of making an example."""
        return float(self.features)

    def spectrum(self) -> Spectrum:
        """Return the distribution."""
        return self.remember("making", "spectrum", self._spectrum)

    def _spectrum(self) -> Spectrum:
        from scipy.special import zeta

        k = np.arange(1, self.features + 1, dtype=np.float64)
        variance = zeta(self.a)  # of y before it is scaled
        return Spectrum(
            deviations=k ** (-self.b / 2),
            theta=k ** ((self.b - self.a) / 2) / np.sqrt(variance),
            rest=float(zeta(self.a, self.features + 1) / variance),
        )

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        """Draw `n` examples; targets are float32."""
        spectrum = self.spectrum()
        x = rng.standard_normal((n, self.features), dtype=np.float32)
        x *= spectrum.deviations.astype(np.float32)
        y = np.sqrt(spectrum.rest) * rng.standard_normal(n)
        for start in range(0, n, ROWS):
            y[start : start + ROWS] += x[start : start + ROWS].astype(np.float64) @ spectrum.theta
        return Arrays(x, y.astype(np.float32))

    def splits(self, train: Arrays | Stream, validation: Arrays, test: Arrays) -> Splits:
        """Put the splits together: the best constant is 0, whose expected loss is Var(y) = 1."""
        _, chance_se = mean_and_error(test.y.astype(np.float64) ** 2)
        loss = self.spectrum().population_loss
        return Splits(train, validation, test, chance=1.0, chance_se=chance_se, population_loss=loss)
