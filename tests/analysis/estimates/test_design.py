"""A run changes the expected squared error as in a fit to all runs at once, which takes the law's error for noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimates.suggest.design import Features
from analysis.estimates.suggest.law_posterior import fit_errors, posterior_covariance

NOISE = 0.3


def features(runs: np.ndarray, own: np.ndarray, slopes: np.ndarray, waves: np.ndarray) -> Features:
    """Return the problem after runs with slopes (2, n) and own errors (3, n); the last of the others is a target."""
    assumed = posterior_covariance(runs, runs / NOISE)
    every = np.concatenate([slopes, waves])
    return Features(every[:, :-1], every[:, -1:], NOISE, fit_errors(assumed, runs / NOISE, own), assumed)


@pytest.mark.parametrize("size", [0.0, 1.0])
def test_runs_one_by_one_are_runs_at_once(size: float):
    rng = np.random.default_rng(0)
    runs, own, slopes, waves = (rng.standard_normal(shape) for shape in ((2, 5), (3, 5), (2, 8), (3, 8)))
    own, waves = size * own, size * waves
    before = features(runs, own, slopes, waves)
    state = before.start()
    after = [features(np.c_[runs, slopes[:, i]], np.c_[own, waves[:, i]], slopes, waves).variance for i in range(7)]
    gains = 1 - np.array(after) / before.variance
    assert before.gain(state) == pytest.approx(gains)
    assert (gains.min() > 0) == (size == 0)  # a run far from the law can make a fit worse
    for i in (3, 0, 3):
        runs, own, state = np.c_[runs, slopes[:, i]], np.c_[own, waves[:, i]], before.see(state, i)
    last = features(runs, own, slopes, waves).start()
    assert state.wanted == pytest.approx(last.wanted)
    assert state.shared == pytest.approx(last.shared)
    assert state.own == pytest.approx(last.own)
