from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.errors import Refusal, UserError
from analysis.estimates.allocate import Use, allocate
from analysis.estimates.lifetime_cost.cheapest import cheapest, trained_to
from analysis.estimates.lifetime_cost.drifted import changes_of
from analysis.estimates.lifetime_cost.lifetime import cheapest_models
from analysis.estimates.lifetime_cost.model_cost import IN_BATCHES, ONE_BY_ONE, in_flops
from analysis.fitting.allocation import inputs_at, log_loss
from analysis.fitting.fit import fit
from analysis.fitting.objective import Objective, Problem
from analysis.fitting.verdict.drift import effect_of
from analysis.laws import LAWS
from analysis.laws.base import Units
from tests.analysis import worlds
from tests.analysis.worlds import World
from tests.default_cases import default_cases


@pytest.fixture(scope="module")
def table():
    return worlds.isoflop(World(), seeds=1)


@pytest.fixture(scope="module")
def law(table):
    return fit(table, "chinchilla", resamples=40)


def test_the_published_example():
    """13 billion parameters and 2 trillion tokens of use: 7 billion are cheaper by 1.7e22 FLOPs, 17 %."""
    E, A, B, alpha, beta = 1.69, 406.4, 410.7, 0.336, 0.283
    chinchilla, units = LAWS["chinchilla"], Units({"N": np.log(1e9), "D": np.log(1e11)}, np.log(2.5))
    values = dict(zip("EAB", ([E], [A], [B]), strict=True)) | {"alpha": [alpha], "beta": [beta]}
    theta = chinchilla.scale({name: np.array(value) for name, value in values.items()}, units)
    problem = Problem(chinchilla, {}, np.empty(0), Objective(), units)
    N = 13e9
    D = (beta * B / (alpha * A) * N**alpha) ** (1 / beta)
    target = np.log([E + A * N**-alpha + B * D**-beta])
    trained = trained_to(problem, theta, target, (np.log(1e18), np.log(1e25)))
    assert np.exp(np.ravel(trained)) == pytest.approx([N, D], rel=1e-6)
    (best_N,), (best_D,) = np.exp(cheapest(problem, theta, target, trained, in_flops(6, 2e12).total))
    costs = [6 * n * d + 2 * n * 2e12 for n, d in ((N, D), (best_N, best_D))]
    assert best_N == pytest.approx(7e9, rel=0.01)
    assert costs[0] - costs[1] == pytest.approx(1.7e22, rel=0.01)
    assert 1 - costs[1] / costs[0] == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize("name", default_cases(["chinchilla", "kaplan"], "chinchilla"))
def test_the_optimum_is_the_best_of_a_fine_grid(table, name):
    found = fit(table, name, resamples=0)
    (one,) = cheapest_models(found, inference=1e8, at=[1e11])
    N, D = np.meshgrid(np.geomspace(one.trained.N / 50, 2 * one.trained.N, 600), np.geomspace(1e5, 1e9, 1500))
    loss = found.predict({"N": N.ravel(), "D": D.ravel()}).reshape(N.shape)
    cost = np.where(loss <= one.value, 6 * N * D + 2 * N * 1e8, np.inf)
    assert one.best.total == pytest.approx(cost.min(), rel=0.01)
    assert one.best.total <= cost.min()
    assert pytest.approx(N.ravel()[cost.argmin()], rel=0.1) == one.best.N
    assert found.predict({"N": one.best.N, "D": one.best.D})[0] == pytest.approx(one.value, rel=1e-6)
    assert one.saved == pytest.approx(1 - one.best.total / one.trained.total)
    assert one.best.N < one.trained.N


def test_without_use_it_is_the_training_optimal_split(law):
    by_C, by_loss = cheapest_models(law, inference=0, at=[1e11], reach=float(law.allocate(1e11).loss))
    assert 0 <= by_C.saved < 1e-6
    assert by_C.saved_interval is None or by_C.saved_interval[0] >= 0
    best = law.allocate(1e11)
    for one in (by_C, by_loss):
        assert pytest.approx((best.N, best.D), rel=1e-3) == (one.best.N, one.best.D)
        assert one.trained.training == pytest.approx(1e11, rel=1e-6)
        assert one.saved == pytest.approx(0, abs=1e-6)
    assert by_C.N_interval == pytest.approx(best.N_interval, rel=5e-3)
    assert by_C.D_interval == pytest.approx(best.D_interval, rel=5e-3)


def test_a_drift_moves_the_cheapest_model_to_where_a_search_finds_it(table):
    found = fit(table, "chinchilla", resamples=0)
    engine, theta, amount = found.engine, found.engine.theta[:, None], 0.03
    [one] = cheapest_models(found, inference=1e7, at=[1e10])
    best, trained = (np.log([model.N, model.D]) for model in (one.best, one.trained))
    cost = in_flops(engine.points.flops_per_nd, 1e7).total
    terms, changes = changes_of(engine, best, trained, cost)
    k = [term.term.name for term in terms].index("N")

    def drifted(n, d):
        path = inputs_at(engine.problem, theta, n[None], d[None])
        effect = effect_of(terms[k], engine, {name: x[0] for name, x in path.items()})
        return log_loss(engine.problem, theta, n[None], d[None])[0] + amount * effect

    n = np.linspace(best[0] - 0.2, trained[0] + 0.2, 6001)
    target = drifted(n, trained.sum() - n).min()
    low, high = np.full(n.shape, best[1] - 3), np.full(n.shape, best[1] + 20)
    for _ in range(60):
        middle = (low + high) / 2
        there = drifted(n, middle) <= target
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    cheap = int(np.argmin(cost(n, high)))
    moved = amount * changes[:, k]
    assert moved[0] == pytest.approx(n[cheap] - best[0], rel=0.1)
    assert moved[1] == pytest.approx(high[cheap] - best[1], rel=0.35)  # the small difference of two changes
    assert np.abs(moved).max() > 0.005


def test_intervals_hold_the_world_and_more_use_wants_a_smaller_model(law):
    sizes = []
    for use in (1e6, 1e7, 1e8):
        (one,) = cheapest_models(law, inference=use, at=[1e10])
        assert one.N_interval[0] < one.best.N < one.N_interval[1]
        assert one.saved_interval[0] < one.saved < one.saved_interval[1]
        sizes.append(one.best.N)
    assert sizes == sorted(sizes, reverse=True)


def test_far_from_the_runs_it_says_so_or_refuses(law):
    (far,) = cheapest_models(law, inference=1e12, at=[1e11])
    assert any("D/N" in text for text in far.warnings)
    with pytest.raises(Refusal, match="no cheapest model"):
        cheapest_models(law, inference=1e8, reach=World().E / 2)
    with pytest.raises(UserError, match="no target"):
        cheapest_models(law, inference=1e8)
    with pytest.raises(UserError, match="zero or more"):
        cheapest_models(law, inference=-1.0, at=[1e10])


def test_a_target_that_only_some_refits_reach_is_said(law):
    (near,) = cheapest_models(law, inference=1e8, reach=float(law.allocate(5e18).loss))
    assert 0 < near.never < 1
    assert near.N_interval is None
    assert any("of the refits" in text for text in near.warnings)


@pytest.mark.slow
def test_allocate_carries_it_and_says_why_it_cannot(table):
    found = allocate(table, at=[1e11], use=Use(1e8), resamples=0).to_dict()
    assert json.loads(json.dumps(found))["lifetimes"][0]["at"] == 1e11
    refused = allocate(table, at=[1e11], use=Use(1e8, law="power"), resamples=0)
    assert "a law in N and D" in refused.refusal
    assert "lifetimes" not in refused.to_dict()


def measured_models(tmp_path, **columns):
    """Write an efficiency.csv: latency with an overhead of .1 ms, throughput in step with N."""
    N = np.array([300, 3_000, 30_000])
    made = {"family": "mlp", "N": N, "latency_ms": 0.1 + N / 1e5, "throughput": 1e9 / N, "device": "cpu"} | columns
    pd.DataFrame(made).to_csv(tmp_path / "efficiency.csv", index=False)
    return tmp_path / "efficiency.csv"


@pytest.mark.slow
def test_in_seconds_it_is_the_best_of_a_fine_grid(table, tmp_path):
    use = Use(1e6, measured=measured_models(tmp_path))
    found = {one.unit: one for one in allocate(table, at=[1e10], use=use, resamples=0).lifetimes}
    law = fit(table, "chinchilla", resamples=0)
    N, D = np.meshgrid(np.geomspace(300, 30_000, 500), np.geomspace(1e4, 1e7, 1500))
    near = law.predict({"N": N.ravel(), "D": D.ravel()}).reshape(N.shape) <= found[ONE_BY_ONE].value
    alone, together = found[ONE_BY_ONE].best, found[IN_BATCHES].best
    one_by_one = np.where(near, 6 * N * D / 1e9 + 1e6 * (0.1 + N / 1e5) / 1e3, np.inf)
    in_batches = np.where(near, 6 * N * D / 1e9 + 1e6 * N / 1e9, np.inf)
    assert together.total == pytest.approx(in_batches.min(), rel=0.02)
    assert alone.total == pytest.approx(one_by_one.min(), rel=0.1)  # straight lines between three sizes
    assert alone.total > together.total
    assert alone.use == pytest.approx(1e6 * (0.1 + alone.N / 1e5) / 1e3, rel=0.5)
    assert together.training == pytest.approx(6 * together.N * together.D / 1e9, rel=0.02)


@pytest.mark.slow
def test_seconds_that_do_not_fit_the_runs_are_said(table, tmp_path):
    here = measured_models(tmp_path, device="gpu")
    found = allocate(table, at=[1e10], use=Use(1e6, measured=here), resamples=0)
    assert any("trained on cpu, measured on gpu" in text for one in found.lifetimes for text in one.warnings)
    for change, said in (
        ({"family": "bottleneck"}, "no model of mlp"),
        ({"latency_ms": 0.0}, "positive times"),
        ({"throughput": "fast"}, "throughput"),
    ):
        with pytest.raises(UserError, match=said):
            allocate(table, at=[1e10], use=Use(1e6, measured=measured_models(tmp_path, **change)), resamples=0)
    lost = table.drop(columns="seconds")
    with pytest.raises(UserError, match="no seconds of training"):
        allocate(lost, at=[1e10], use=Use(1e6, measured=measured_models(tmp_path)), resamples=0)
