"""From laws to decisions: forecasts, backtests, weights, conventions, cards."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.errors import Refusal, UserError
from analysis.estimates.backtest import backtest
from analysis.estimates.forecast import forecast, forecasts
from analysis.estimates.multiverse import multiverse
from analysis.fitting.card import card_text
from analysis.laws import LAWS
from tests.default_cases import default_cases

P = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.28}


def loss(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    return P["E"] + P["A"] * N ** -P["alpha"] + P["B"] * D ** -P["beta"]


def grid(seeds: int = 3, noise: float = 0.005, rising: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = []
    for N in np.geomspace(1e6, 1e9, 6):
        for D in np.geomspace(1e8, 3e10, 5):
            for seed in range(seeds):
                spread = noise * (N / 1e9) ** -rising
                rows.append((N, D, seed, loss(N, D) * np.exp(spread * rng.standard_normal())))
    table = pd.DataFrame(rows, columns=["N", "D", "seed", "loss"])
    return table.assign(C=6 * table.N * table.D, run_id=[f"r{i}" for i in range(len(table))])


def curve(n: int = 24, noise: float = 0.004) -> pd.DataFrame:
    x = np.geomspace(1e15, 1e21, n)
    y = (1.2 + 2e3 * x**-0.2) * np.exp(noise * np.random.default_rng(0).standard_normal(n))
    return pd.DataFrame({"C": x, "loss": y})


def test_forecast_holds_the_truth_and_says_how_far_it_looks() -> None:
    said = forecast(grid(), at={"C": 1e22}, resamples=100)
    truth = loss(np.array([said.at["N"]]), np.array([said.at["D"]]))[0]
    assert said.mean_interval[0] < truth < said.mean_interval[1]
    assert said.run_interval[1] - said.run_interval[0] > said.mean_interval[1] - said.mean_interval[0]
    assert said.by == "C"
    assert said.supported is not None
    assert any("look" in line or "beyond" in line for line in said.warnings)
    assert json.loads(said.to_json())["at"]["C"] == 1e22


@pytest.mark.slow
def test_forecasts_of_several_settings_are_those_of_each() -> None:
    at = [{"C": 1e22}, {"C": 1e23}]
    both = forecasts(curve(), "power", at=at, x="C", resamples=20, check=False)
    assert both == [forecast(curve(), "power", at=one, x="C", resamples=20, check=False) for one in at]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"N": 7e9, "D": 2e12, "C": 5.0}, r"found C = 5 beside N and D, which take 8.4×10²²; leave C out"),
        ({"N": 7e9, "D": 2e12, "width": 5.0}, "found width, which the law chinchilla of N, D does not take"),
    ],
)
def test_what_a_forecast_does_not_take_is_refused(at, said) -> None:
    with pytest.raises(UserError, match=said):
        forecast(grid(), at=at, resamples=20, check=False)
    forecast(grid(), at={**at, "C": 8.4e22} if "C" in at else {"C": 1e22}, resamples=20, check=False)


def test_forecast_of_a_one_variable_law() -> None:
    said = forecast(curve(), "saturating", at={"C": 1e22}, x="C", resamples=50)
    assert said.value == pytest.approx(1.2 + 2e3 * 1e22**-0.2, rel=0.02)
    with pytest.raises(UserError, match="forecasts at C"):
        forecast(curve(), "saturating", at={"N": 3.0}, x="C", resamples=20, check=False)


def test_backtests_rank_the_true_law_above_a_plain_power() -> None:
    found = backtest(curve(), ["power", "saturating"], x="C", resamples=50)
    assert found.best == "saturating"
    assert [score.law for score in found.scores] == ["saturating", "power"]
    assert 0 <= found.scores[0].coverage <= 1
    assert json.loads(found.to_json())["best"] == "saturating"
    bare = backtest(curve(), ["power", "saturating"], x="C", resamples=0)
    assert [score.error for score in bare.scores] == [score.error for score in found.scores]
    assert json.loads(bare.to_json())["scores"][0]["coverage"] is None


def test_backtest_by_n_leaves_out_the_largest_models() -> None:
    found = backtest(grid(), ["chinchilla"], by="N", resamples=0)
    assert all(split.error < 0.05 for split in found.scores[0].splits)
    assert all(split.factor > 1 for split in found.scores[0].splits)
    with pytest.raises(Refusal, match="distinct values"):
        backtest(grid().query("N < 2e6"), ["chinchilla"], by="N")


def test_auto_chooses_by_backtest_among_laws_that_pass_and_says_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in reversed(LAWS) if name not in ("power", "saturating")]:
        monkeypatch.delitem(LAWS, name)  # from the last on, so that they are put back in their order
    found = fit(curve(), "auto", x="C", resamples=50, starts=8)
    assert found.certificate.status == "ok"
    assert f"{found.law}, 0." in found.warnings[0]
    assert f"power {100 * found.card['tried']['power']:.1f}"[:8] in found.warnings[0]
    assert found.law == "saturating"


@pytest.mark.slow
def test_auto_chooses_among_all_laws() -> None:
    found = fit(curve(), "auto", x="C", resamples=50, starts=8)
    assert found.certificate.status == "ok"
    assert f"{found.law}, 0." in found.warnings[0]
    assert found.law != "power"


@pytest.mark.slow
def test_auto_refuses_to_choose_where_no_law_passes() -> None:
    C = np.geomspace(1e17, 1e21, 30)
    waves = 0.05 * np.sin(3 * np.log(C))
    table = pd.DataFrame({"C": C, "loss": (1.2 + 2e3 * C**-0.2) * np.exp(waves)})
    with pytest.raises(Refusal, match=r"none of the laws .* passes, so none is chosen"):
        fit(table, "auto", x="C", resamples=20, starts=8)


def test_a_joint_corner_is_as_far_ahead_as_its_compute() -> None:
    table = grid(1).query("N * D < 1e17")
    corner = {"N": float(table.N.max()), "D": float(table.D.max())}
    without = forecast(table.drop(columns="C", errors="ignore"), at=corner, resamples=20, check=False)
    assert without.by == "C"
    far = corner["N"] * corner["D"] / (table.N * table.D).max()
    assert without.beyond == pytest.approx({"N": 1, "D": 1, "C": far})
    assert any(line.startswith("C lies") for line in without.warnings)


def test_weights_from_seeds_follow_the_noise() -> None:
    table = grid(seeds=4, rising=0.5)
    plain, weighed = (fit(table, weights=w, objective="lsq", resamples=0) for w in (None, "seeds"))
    weights = weighed.engine.points.weights
    assert np.corrcoef(np.log(weights), np.log(table.N))[0, 1] > 0.8
    assert abs(weighed.params["alpha"] - P["alpha"]) < abs(plain.params["alpha"] - P["alpha"]) + 0.02
    with pytest.raises(Refusal, match="more than one seed"):
        fit(table[table.seed == 0], weights="seeds")


def test_a_law_that_misses_the_means_fails_the_test_of_seeds() -> None:
    table = grid(noise=0.002)
    right = fit(table, resamples=0, objective="lsq").lack_of_fit
    assert right is not None
    assert right.p_value > 0.01
    wrong = fit(table, "kaplan", resamples=0, objective="lsq")
    assert wrong.lack_of_fit is not None
    assert wrong.lack_of_fit.p_value < 1e-6
    assert any("seeds explain" in line for line in wrong.warnings)
    assert right.seed_scatter == pytest.approx(0.002, rel=0.3)


@pytest.mark.slow
def test_conventions_of_n_move_the_exponent_and_are_shown() -> None:
    table = grid().assign(N_total=lambda t: t.N + 2e7, C_counted=lambda t: 0.9 * t.C)
    worlds = multiverse(table, resamples=0)
    assert {(world.columns["N"], world.columns["C"]) for world in worlds.worlds} == {
        ("N", "C"),
        ("N", "C_counted"),
        ("N_total", "C"),
        ("N_total", "C_counted"),
    }
    low, high = worlds.N_exponents
    assert high - low > 0.05
    assert multiverse(table, resamples=0, found=fit(table, resamples=0)) == worlds
    single = multiverse(table, "power", x="N", resamples=0)
    assert [world.columns["N"] for world in single.worlds] == ["N", "N_total"]


@pytest.mark.slow
def test_a_convention_of_c_counts_where_rows_are_chosen_by_it() -> None:
    table = grid(seeds=1).assign(C_counted=lambda t: 0.9 * t.C)
    every = multiverse(table, resamples=0).worlds
    assert [world.columns["C"] for world in every] == ["C", "C_counted"]
    assert every[0].params == every[1].params
    chosen = multiverse(table, resamples=0, where=f"C < {0.95 * table.C.max()}").worlds
    assert chosen[0].params != chosen[1].params


@pytest.mark.slow
def test_the_card_tells_enough() -> None:
    table = grid()
    table.loc[0, "loss"] = np.nan
    found = fit(table, resamples=50)
    text = card_text(found)
    for part in ("E + A N^-alpha", "huber", found.card["data_hash"], "finite", "50 resamples by runs", "certificate"):
        assert part in text
    shuffled = fit(table.sample(frac=1, random_state=2), resamples=0)
    assert shuffled.card["data_hash"] == found.card["data_hash"]


def test_reach_and_local_exponents() -> None:
    found = fit(curve(noise=0.001), "saturating", x="C", resamples=100)
    there = found.reach(1.5)
    assert found.predict({"C": there.x})[0] == pytest.approx(1.5, rel=1e-6)
    assert there.interval[0] < there.x < there.interval[1]
    assert np.isnan(found.reach(0.5).x)
    slope = found.exponents({"C": [1e18]})["C"][0]
    up, down = found.predict({"C": [1.001e18, 0.999e18]})
    assert slope == pytest.approx(np.log(up / down) / np.log(1.001 / 0.999), rel=1e-3)


@pytest.mark.slow
def test_an_exponent_that_refits_do_not_agree_on_weakens_the_certificate() -> None:
    table = grid()
    faint = fit(table.assign(loss=table.loss - 0.99 * P["A"] * table.N ** -P["alpha"]), resamples=100)
    assert faint.certificate.status == "weak"
    assert any(reason.startswith("alpha is not identified: its interval") for reason in faint.certificate.reasons)
    assert any("weak fit: alpha is not identified" in line for line in faint.warnings)
    assert not any("beta" in reason for reason in faint.certificate.reasons)
    assert fit(grid(), resamples=100).certificate.status == "ok"
    flat = pd.DataFrame({"C": 10.0 ** np.arange(12), "loss": 2 + 0.1 * np.sin(np.arange(12) * 2.3)})
    (reason,) = fit(flat, "power", resamples=100).certificate.reasons
    assert reason.startswith("alpha is not identified: its interval contains zero; a run at C = ")


def test_what_is_not_identified_is_named() -> None:
    table = grid().query("N > 5e7 and D > 1e9")
    narrow, wide = (fit(t, objective="lsq", resamples=0).certificate for t in (table, grid()))
    assert narrow.condition > 3 * wide.condition
    assert len(narrow.trade_off) > 1
    assert set(narrow.next_run) == {"N", "D"}


@pytest.mark.slow
@pytest.mark.parametrize("law", default_cases(["repeated", "coupled"], "coupled"))
def test_c_alone_is_completed_to_all_that_a_law_needs(law: str) -> None:
    table = grid(1)
    told = forecast(table.assign(D_unique=table.D), law, at={"C": 1e14}, resamples=20, check=False)
    assert told.value > 0
