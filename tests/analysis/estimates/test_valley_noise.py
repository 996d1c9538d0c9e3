"""The noise that isoFLOP minima are resampled with is itself known only as well as its degrees of freedom say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.estimates.valleys.curve import Parabola, Valley, find_minima
from analysis.estimates.valleys.noise import Noise, draw_minima, noise_of
from analysis.estimates.valleys.skew import Skew


def budget(seed: int, noise: float = 0.001) -> tuple[pd.DataFrame, Valley]:
    u = np.linspace(-2, 2, 9)
    means = (2 + 0.1 * u**2) * np.exp(noise * np.random.default_rng(seed).standard_normal(9))
    N = np.exp(u)
    rows = pd.DataFrame({"N": N, "D": 1 / N, "C": 6.0 * 10**seed, "loss": means})
    return rows, Valley(10.0**seed, u, means, np.ones(9, int), find_minima(u, means[None], Parabola()))


def test_minima_scatter_as_students_t_where_residuals_are_few() -> None:
    deviations = 0.001 * np.random.default_rng(0).standard_normal(2000)
    _, valley = budget(0, noise=0.0)

    def half_width(freedom: float) -> float:
        (draws,) = draw_minima([valley], [Parabola()], Noise(deviations, freedom), {}, 8000, 0)
        return float(np.diff(np.quantile(draws, [0.025, 0.975]))[0])

    assert half_width(4) / half_width(1e6) == pytest.approx(2.776 / 1.960, rel=0.06)  # 95 % of t with 4, and of normal


def test_all_budgets_share_a_resamples_scale_of_the_noise() -> None:
    deviations = 0.001 * np.random.default_rng(0).standard_normal(2000)
    draws = draw_minima([budget(0, 0.0)[1], budget(1, 0.0)[1]], [Parabola()], Noise(deviations, 3), {}, 4000, 0)
    sizes = [np.log(np.abs(one)) for one in draws]
    assert np.corrcoef(sizes)[0, 1] > 0.1


def test_a_skew_fitted_to_the_residuals_takes_a_degree_of_freedom() -> None:
    rows, valleys = zip(*(budget(seed) for seed in range(4)), strict=True)
    table = pd.concat(rows, ignore_index=True)
    prior, fitted = (noise_of(table, valleys, "loss", absorbed=absorbed) for absorbed in (0.0, 1.0))
    assert fitted.freedom == prior.freedom - 1 == sum(one.freedom for one in valleys) - 1
    assert fitted.size / prior.size == pytest.approx((prior.freedom / fitted.freedom) ** 0.5)


def test_deviations_that_the_seeds_of_a_size_share_are_noise_and_those_of_seeds_alone_are_not_taken() -> None:
    def found(common: float) -> tuple[Noise, float]:
        """Five budgets of nine sizes with three seeds of .1 %, and what the seeds of a size share."""
        tables, valleys = [], []
        for budget_ in range(5):
            rng = np.random.default_rng([budget_, 3])
            u = np.linspace(-2, 2, 9)
            shared = common * rng.standard_normal(9)
            loss = (2 + 0.1 * u**2)[:, None] * np.exp(shared[:, None] + 0.001 * rng.standard_normal((9, 3)))
            N = np.exp(u)
            columns = {"N": np.repeat(N, 3), "D": np.repeat(1 / N, 3), "C": 6.0 * 10**budget_, "loss": loss.ravel()}
            tables.append(pd.DataFrame(columns))
            means = loss.mean(axis=1)
            valleys.append(Valley(10.0**budget_, u, means, np.full(9, 3), find_minima(u, means[None], Parabola())))
        noise = noise_of(pd.concat(tables, ignore_index=True), valleys, "loss", absorbed=1.0)
        return noise, float(np.sqrt(noise.size**2 / 3))  # of a mean

    alone, _ = found(0.0)
    assert alone.size == pytest.approx(0.001, rel=0.15)
    assert not alone.warning
    noise, of_a_mean = found(0.003)
    assert of_a_mean == pytest.approx((0.003**2 + 0.001**2 / 3) ** 0.5, rel=0.3)
    assert "more than their seeds explain" in noise.warning


def test_a_skew_of_few_residuals_has_longer_tails() -> None:
    normal, few = (Skew(0.1, 0.05, freedom).draws()[-1].skew - 0.1 for freedom in (np.inf, 4.0))
    assert few > 1.2 * normal
