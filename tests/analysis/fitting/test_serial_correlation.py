"""Rows of a learning curve that count as runs of their own weaken a law; independent runs do not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.fitting.objective import jacobian
from analysis.fitting.verdict.serial_correlation import serial_correlation

ALIKE = "neighbouring rows deviate alike"


def curves(correlation: float, *, of_size: float = 0.0, N: np.ndarray, rows: int = 25, seed: int = 0) -> pd.DataFrame:
    """Losses along D at each N, whose noise is correlated from row to row; of_size: deviation that a size shares."""
    rng, D = np.random.default_rng(seed), np.geomspace(1e8, 3e10, rows)
    noise = rng.standard_normal((len(N), rows))
    for k in range(1, rows):
        noise[:, k] = correlation * noise[:, k - 1] + np.sqrt(1 - correlation**2) * noise[:, k]
    noise += of_size * rng.standard_normal((len(N), 1))
    loss = (1.7 + 400 * N[:, None] ** -0.34 + 900 * D**-0.28) * np.exp(0.004 * noise)
    return pd.DataFrame({"N": np.repeat(N, rows), "D": np.tile(D, len(N)), "loss": loss.ravel()})


ONE, FIVE = np.array([1e7]), np.geomspace(1e6, 1e9, 5)


@pytest.mark.parametrize(("N", "law", "x"), [(ONE, "saturating", "D"), (FIVE, "chinchilla", None)])
def test_rows_of_curves_weaken_a_law_unless_each_is_said_to_be_a_run(N: np.ndarray, law: str, x: str | None) -> None:
    table = curves(0.8, N=N)
    found = fit(table, law, x=x, resamples=0)
    assert found.certificate.status == "weak"
    assert any(ALIKE in reason for reason in found.certificate.reasons)
    told = fit(table, law, x=x, resamples=0, run_column="none")
    assert not any(ALIKE in reason for reason in told.certificate.reasons)


@pytest.mark.parametrize("of_size", [0.0, 1.0])
def test_independent_runs_do_not_even_where_those_of_a_size_deviate_in_common(of_size: float) -> None:
    found = fit(curves(0.0, of_size=of_size, N=FIVE), resamples=0)
    assert not any(ALIKE in reason for reason in found.certificate.reasons)


@pytest.mark.parametrize(("N", "law", "x"), [(ONE, "saturating", "D"), (FIVE, "chinchilla", None)])
def test_p_values_of_independent_noise_are_uniform(N: np.ndarray, law: str, x: str | None) -> None:
    engine = fit(curves(0.0, N=N, rows=14), law, x=x, resamples=0).engine
    slopes, rng = jacobian(engine.problem, engine.theta), np.random.default_rng(1)
    noise = rng.standard_normal((1000, engine.points.n))
    seen = [serial_correlation(engine.points, one, slopes) for one in noise]
    p = np.array([one.p_value for one in seen if one])
    assert len(p) == 1000
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.05)
    assert np.mean([one.value for one in seen if one]) == pytest.approx(0, abs=0.02)


def test_models_of_other_sizes_are_no_curve() -> None:
    table = curves(0.8, N=ONE).rename(columns={"D": "N", "N": "D"})
    found = fit(table, "saturating", x="N", resamples=0)
    assert not any(ALIKE in reason for reason in found.certificate.reasons)


def test_a_table_of_many_sizes_needs_no_memory_for_each_pair_of_row_and_size() -> None:
    tracemalloc.start()
    found = fit(curves(0.8, N=np.geomspace(1e5, 1e9, 2000), rows=6), resamples=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any(ALIKE in reason for reason in found.certificate.reasons)
    assert peak < 8 * 2000 * 12000 / 2
