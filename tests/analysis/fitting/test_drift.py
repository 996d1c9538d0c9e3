"""A slow drift from a law is detected where it is significant, and widens intervals where it cannot be excluded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import Fit, fit
from analysis.fitting.intervals import percentile
from analysis.fitting.verdict.drift import PRIOR, estimate_drifts, with_drifts
from analysis.fitting.verdict.rule import drift_words
from tests.default_cases import default_cases

FAR = {"N": 10**9.5 * 3, "D": 3e11}


def fitted(drift: float, noise: float = 0.004, seed: int = 0, **how) -> tuple[Fit, float]:
    """Fit chinchilla to a grid whose loss drifts by so much of 1.7 for each decade of N; and the truth at `FAR`."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 10**9.5, 7), np.geomspace(1e8, 1e11, 6)))
    rng = np.random.default_rng(seed)
    loss = truth(drift, N, D) * np.exp(noise * rng.standard_normal(42))
    how = {"resamples": 60, "starts": 4} | how
    return fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), **how), float(truth(drift, FAR["N"], FAR["D"]))


def truth(drift, N, D):
    return 1.7 * (1 + drift * np.log10(N / 1e6)) + 400 * N**-0.34 + 900 * D**-0.28


def seen(found: Fit):
    return estimate_drifts(found.engine)


def test_a_drift_is_measured_along_the_input_it_is_of():
    found, _ = fitted(-0.05, noise=5e-4, resamples=0)
    along_n, along_d = seen(found)
    assert (along_n.term.name, along_d.term.name) == ("N", "D")
    assert along_n.mean * np.median(found.engine.points.y) == pytest.approx(-0.05 * 1.7, rel=0.15)
    assert along_n.p_value < 0.01
    assert abs(along_d.mean) < 0.3 * abs(along_n.mean)
    assert found.certificate.status == "weak"


def test_a_drift_surely_there_is_named_and_none_on_a_true_law():
    found, _ = fitted(-0.05, noise=2e-3, seed=1)
    said = drift_words(found)
    assert said.startswith("loss drifts from the law by −")
    assert "per decade of N" in said
    assert drift_words(fitted(0.0)[0]) == ""


@pytest.mark.parametrize("space", default_cases(["log", "raw"], "raw"))
def test_an_interval_allows_for_drifts_that_the_runs_leave_possible(space):
    for seed in range(2):
        found, true = fitted(-0.04, seed=seed, space=space)
        low, high = found.interval(FAR)
        bare = np.exp(percentile(np.log(found.refits(FAR)), found.level))[0]
        assert low[0] <= bare[0] * (1 + 1e-12) < bare[1] <= high[0] * (1 + 1e-12)
        assert low[0] < true < high[0]
        middle = {"N": 10**7.75, "D": 10**9.5}
        ends = np.concatenate(found.interval(middle))
        assert np.ptp(np.log(ends)) < np.ptp(np.log([low[0], high[0]]))


def test_an_interval_allows_for_a_plateau_that_noise_hides():
    x = np.geomspace(1e5, 1e9, 20)
    y = np.maximum(1.2 + 60 * x**-0.25, 1.2 + 60 * x[-4] ** -0.25)
    loss = y * np.exp(0.04 * np.random.default_rng(4).standard_normal(20))
    found = fit(pd.DataFrame({"D": x, "loss": loss}), "power", x="D", resamples=60, starts=4)
    assert found.certificate.status == "ok"
    low, high = found.interval({"D": 3e9})
    assert np.exp(percentile(np.log(found.refits({"D": 3e9})), found.level))[0][1] < y[-1]
    assert low[0] < y[-1] < high[0]


@pytest.mark.slow
def test_where_hardly_anything_is_known_the_prior_is_believed():
    for one in seen(fitted(0.0, noise=0.3, resamples=0)[0]):
        mean, deviation = one.posterior
        assert abs(mean) < PRIOR
        assert deviation == pytest.approx(PRIOR, rel=0.1)
        assert 0.5 < one.odds < 2


def test_a_table_without_noise_has_no_drift_and_few_runs_say_nothing():
    found, true = fitted(0.0, noise=0.0)
    low, high = found.interval(FAR)
    assert np.concatenate([low, high]) == pytest.approx(true, rel=1e-4)
    x = np.geomspace(1e5, 1e9, 6)
    few = fit(pd.DataFrame({"C": x, "loss": 1 + 50 * x**-0.3}), "saturating", x="C", resamples=0)
    assert seen(few) == ()


def test_drifts_widen_an_interval_alike_for_every_seed():
    """Else so rare and large amounts move the ends of an interval from 200 refits by half of its width."""
    engine = fitted(0.0, resamples=0)[0].engine
    far = {name: np.array([np.log(value) - engine.problem.units.log_inputs[name]]) for name, value in FAR.items()}
    ends = [percentile(with_drifts(np.zeros((1, 200)), engine, far, seed=seed), 0.95) for seed in range(3)]
    np.testing.assert_allclose(ends[1:], [ends[0]] * 2)
    assert ends[0][0, 0] < 0 < ends[0][0, 1]


def test_the_interval_of_a_run_holds_that_of_the_mean():
    for seed in range(8):
        found, _ = fitted(0.0, noise=5e-4, seed=seed, resamples=100)
        (low, high), (run_low, run_high) = found.interval(FAR), found.interval(FAR, kind="run")
        assert run_low[0] <= low[0] < high[0] <= run_high[0]


def test_intervals_hold_a_curve_from_which_the_law_is_off_by_less_than_weakens_it() -> None:
    """A law's own error is smooth: refits to resampled runs take it for noise that averages out."""
    n, d = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 12)))
    at = {"N": 10 ** (7.75 + 1.75 * n), "D": 10 ** (9.5 + 1.5 * d)}

    def found(off: float) -> tuple[Fit, float, float]:
        """Fit a grid off the law by n²d; also the shares of settings inside the interval and that of refits alone."""
        true = truth(0.0, **at) * np.exp(off * n**2 * d)
        loss = true * np.exp(0.004 * np.random.default_rng(2).standard_normal(144))
        one = fit(pd.DataFrame({**at, "loss": loss}), resamples=100, starts=4)
        ends = one.interval(at), np.exp(percentile(np.log(one.refits(at)), one.level)).T
        inside, alone = (float(np.mean((low <= true) & (true <= high))) for low, high in ends)
        return one, inside, alone

    wrong, inside, alone = found(0.012)
    assert wrong.certificate.status == "ok"
    assert any("by more than their noise explains" in said for said in wrong.warnings)
    assert inside > 0.93
    assert alone < 0.75
    right, inside, alone = found(0.0)
    assert not any("more than their noise" in said for said in right.warnings)
    assert inside == pytest.approx(alone, abs=0.03)


def best_size(drift: float, C: float) -> float:
    """Return the true optimal N for C FLOPs."""
    N = np.geomspace(1e6, 1e12, 20001)
    return float(N[np.argmin(truth(drift, N, C / 6 / N))])


@pytest.mark.parametrize("space", default_cases(["log", "raw"], "raw"))
def test_the_interval_of_the_optimal_size_allows_for_drifts_too(space: str) -> None:
    C = 6 * 3e11 * 1e10
    for drift, noise in ((-0.04, 3e-4), (-0.02, 3e-4), (0.02, 3e-4)):
        found, _ = fitted(drift, noise=noise, space=space)
        best, bare = found.allocate(C), np.exp(percentile(found.optimal_refits(C)[0], found.level))
        assert not bare[0] < best_size(drift, C) < bare[1]
        assert best.N_interval[0] < best_size(drift, C) < best.N_interval[1]
        assert best.D_interval == pytest.approx([C / 6 / N for N in best.N_interval[::-1]])


def test_the_interval_of_the_optimal_size_is_hardly_wider_where_runs_exclude_drifts() -> None:
    found, _ = fitted(0.0, noise=3e-4)
    C = 6 * 1e8 * 1e10
    best, bare = found.allocate(C), np.exp(percentile(found.optimal_refits(C)[0], found.level))
    assert best.N_interval[0] < best_size(0.0, C) < best.N_interval[1]
    assert np.log(best.N_interval[1] / best.N_interval[0]) < 1.2 * np.log(bare[1] / bare[0])


def test_the_interval_of_the_optimal_size_is_written_where_refits_have_it_at_zero() -> None:
    """Models of all sizes lose the same, and the loss has waves, which spread the refits farther than any number."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e5, 1e7, 6), np.geomspace(1e7, 1e9, 6)))
    noise = 0.05 * np.random.default_rng(0).standard_normal(36)
    loss = (1 + (D / 1e7) ** -0.3) * (1 + 0.15 * np.sin(np.log(N * D))) * np.exp(noise)
    best = fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), resamples=20, starts=4, level=0.99).allocate(6e15)
    assert 0 < best.N_interval[0] < best.N
    assert best.D < best.D_interval[1] < np.inf
