"""Two data sets or units in one table, without a column for them, are detected from the residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.fitting.verdict.two_groups import two_groups

X = np.linspace(-1, 1, 40)
LINE = np.stack([np.ones(40), X])


def test_groups_are_counted_and_measured_and_one_group_is_none():
    rng = np.random.default_rng(0)
    high = np.arange(40) % 4 == 0
    rest = 0.01 * rng.standard_normal(40)
    found = two_groups(rest + 0.2 * high, LINE, X[None])
    assert found is not None
    assert (found.few, found.many) == (10, 30)
    assert found.apart == pytest.approx(0.2, rel=0.1)
    assert found.inside == pytest.approx(0.01, rel=0.3)
    tilted = two_groups(rest + (0.1 + 0.1 * X) * (np.arange(40) % 2), LINE, X[None])
    assert tilted is not None
    assert two_groups(rest, LINE, X[None]) is None
    assert two_groups(rest + 0.2 * (np.arange(40) == 3), LINE, X[None]) is None
    assert two_groups(rest[:6], LINE[:, :6], X[None, :6]) is None


@pytest.mark.parametrize("n", [12, 20, 40])
def test_noise_is_hardly_ever_two_groups(n):
    rng, x = np.random.default_rng(1), np.linspace(-1, 1, n)
    line = np.stack([np.ones(n), x])
    for draw in (rng.standard_normal, lambda size: rng.uniform(-1, 1, size)):
        assert sum(two_groups(draw(n), line, x[None]) is not None for _ in range(40)) <= 2


@pytest.mark.parametrize("n", [15, 40])
def test_an_odd_run_is_no_group(n):
    for seed in range(4):
        rest = 0.003 * np.random.default_rng(seed).standard_normal(n)
        rest[2 * seed + 1] += 0.25
        x = np.linspace(-1, 1, n)
        assert two_groups(rest, np.stack([np.ones(n), x, x**2]), x[None]) is None


@pytest.mark.parametrize("n", [15, 24])
def test_few_runs_on_two_curves_are_two_groups(n):
    rng, x = np.random.default_rng(3), np.linspace(-1, 1, n)
    rest = 0.01 * rng.standard_normal(n) + 0.15 * (np.arange(n) % 2)
    found = two_groups(rest, np.stack([np.ones(n), x, x**2]), x[None])
    assert found is not None
    assert found.apart == pytest.approx(0.15, rel=0.2)


@pytest.mark.slow
def test_two_data_sets_in_one_table_are_named():
    rng, x = np.random.default_rng(0), np.geomspace(1e5, 1e9, 24)
    loss = 30 * x**-0.12 * np.where(rng.random(24) < 0.5, 1.0, 1.2) * np.exp(0.01 * rng.standard_normal(24))
    found = fit(pd.DataFrame({"D": x, "loss": loss}), "power", x="D", resamples=20, starts=8)
    assert found.certificate.status == "weak"
    assert "the runs fall into two groups of" in found.certificate.reasons[-1]
