"""isoFLOP curves that are not parabolas are weak, with the reason, and are told from unequal scatter."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.estimates.isoflop import isoflop


def valleys(kind: str, seed: int, noise: float = 0.001, wild: float = 1.0) -> pd.DataFrame:
    """Make six budgets of nine sizes about 0.3 P^0.46; wild: how much more the third budget scatters."""
    rng, rows = np.random.default_rng(seed), []
    for i, C in enumerate(np.geomspace(1e16, 1e20, 6)):
        k = np.linspace(-1.6, 1.6, 9)
        shape = {
            "true": 0.012 * k**2,
            "kink": np.where(k > 0, 0.05 * k, (0.008 * i - 0.05) * k),
            "floor": np.maximum(0.03 * k**2, 0.008),
        }[kind]
        spread = noise * (wild if i == 2 else 1.0)
        loss = (1.7 + 200 * C**-0.12) * (1 + shape) * np.exp(spread * rng.standard_normal(9))
        N = 0.3 * (C / 6) ** 0.46 * np.exp(k)
        rows.append(pd.DataFrame({"N": N, "D": C / 6 / N, "C": C, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


def test_true_valleys_are_ok() -> None:
    found = [isoflop(valleys("true", seed), resamples=50) for seed in range(10)]
    assert [one.status for one in found].count("ok") >= 9


@pytest.mark.parametrize("kind", ["kink", "floor"])
def test_valleys_with_a_kink_or_a_floor_are_weak(kind: str) -> None:
    for seed in range(3):
        found = isoflop(valleys(kind, seed), resamples=50)
        assert found.status == "weak"
        assert found.reasons[0].startswith("the curves are not parabolas")
        assert f"weak: {found.reasons[0]}" in found.warnings
    assert json.loads(json.dumps(found.to_dict()))["status"] == "weak"


def test_a_budget_that_scatters_more_keeps_its_scatter_to_itself() -> None:
    calm, wild = (isoflop(valleys("true", 3, wild=wild), resamples=400) for wild in (1.0, 12.0))
    assert any("scatter unequally" in reason for reason in wild.reasons)
    widths = [[np.log(m.N_interval[1] / m.N_interval[0]) for m in one.minima if m.N_interval] for one in (calm, wild)]
    assert wild.minima[2].status == "flat" or widths[1][2] > 2 * widths[1][3]
