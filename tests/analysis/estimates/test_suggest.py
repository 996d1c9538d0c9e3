"""Suggested runs stay within the limit, beat random choices, and narrow the interval as predicted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import fit, suggest
from analysis.errors import Refusal, UserError
from analysis.estimates.suggest.law_posterior import completed
from analysis.estimates.suggest.prices import prices_of
from tests.analysis.worlds import SKEWED, World, small
from tests.default_cases import default_cases

QUIET = World(noise=0.003)
TARGET = pd.DataFrame({"N": [6e4], "D": [2e6], "C": [1e12]})


def candidates(count: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, C = (np.exp(rng.uniform(*np.log(ends), count)) for ends in ((200, 6e4), (1e9, 5e11)))
    names = [f"run {i}" for i in range(count)]
    return pd.DataFrame({"N": N, "D": C / (6 * N), "cost": C}, index=names)


def made(rows: pd.DataFrame, world: World, seed: int) -> pd.DataFrame:
    """Run some candidates: their losses in the world, with its noise."""
    noise = world.noise * np.random.default_rng(seed).standard_normal(len(rows))
    return pd.DataFrame({"N": rows.N, "D": rows.D, "loss": world.loss(rows.N, rows.D) * np.exp(noise)})


def bare(world: World = QUIET) -> pd.DataFrame:
    return small(world)[["N", "D", "loss"]]


def half_width(table: pd.DataFrame) -> float:
    low, high = fit(table, resamples=200, starts=8).interval(TARGET)
    return float(np.log(high / low)[0] / 2)


def test_a_batch_keeps_to_its_limits_and_comes_true():
    table, pool = bare(), candidates()
    found = suggest(table, pool=pool, target=TARGET, limit=1e12, most=5)
    assert 0 < len(found.rows) <= 5
    assert found.cost == pytest.approx(pool.cost[list(found.rows)].sum())
    assert found.cost <= 1e12
    assert found.interval_now == pytest.approx(half_width(table), rel=0.35)
    after = half_width(pd.concat([table, made(pool.loc[list(found.rows)], QUIET, 1)]))
    assert found.interval_after == pytest.approx(after, rel=0.35)
    assert list(found.after) == sorted(found.after, reverse=True)
    said = json.loads(found.to_json())
    assert said["interval_after"] == found.after[-1]
    assert said["laws"] == {"chinchilla": 1.0}


@pytest.mark.slow
def test_a_batch_tells_more_than_batches_drawn_at_random():
    table, pool, limit = bare(SKEWED), candidates(seed=1), 6e11
    found = suggest(table, pool=pool, target=TARGET, limit=limit, most=4)
    rng, others = np.random.default_rng(3), []
    for _ in range(6):
        order = pool.sample(frac=1, random_state=rng)
        drawn = order[order.cost.cumsum() <= limit].head(4)
        others.append(suggest(table, pool=drawn, target=TARGET, limit=limit, most=4).interval_after)
    assert found.interval_after <= min(others)


def test_the_same_question_has_the_same_answer_whatever_the_order_of_the_pool():
    table, pool = bare(), candidates()
    found = suggest(table, pool=pool, target=TARGET, limit=4e11)
    assert suggest(table, pool=pool[::-1], target=TARGET, limit=4e11).rows == found.rows


def test_candidates_in_other_units_than_the_runs_are_asked_about():
    table, pool = bare(), candidates()
    found = suggest(table, pool=pool.assign(N=pool["N"] / 1e6), target=TARGET, limit=4e11)
    assert "in the pool and" in found.warnings[0]
    assert found.warnings[0].endswith("in the runs: in other units?")
    assert not suggest(table, pool=pool, target=TARGET, limit=4e11).warnings


def test_a_setting_twice_in_the_pool_may_be_run_twice():
    one = pd.DataFrame({"N": [5e4], "D": [1.5e6], "cost": [4.5e11]})
    found = suggest(bare(), pool=pd.concat([one, one], ignore_index=True), target=TARGET, limit=1e12)
    assert sorted(found.rows) == [0, 1]
    assert found.next_gain is None


@pytest.mark.parametrize("of", default_cases(["N_star", "N_exponent", "alpha"], "N_star"))
def test_other_things_than_the_response_can_be_asked_for(of: str):
    pool = candidates()
    found = suggest(bare(), pool=pool, target=TARGET, limit=1e12, of=of)
    assert found.of == of
    assert found.interval_after < found.interval_now
    assert found.rows != suggest(bare(), pool=pool, target=TARGET, limit=1e12).rows


@pytest.mark.slow
def test_laws_are_weighted_by_their_backtests():
    found = suggest(bare(), ["chinchilla", "kaplan"], pool=candidates(), target=TARGET, limit=4e11)
    assert found.laws["chinchilla"] > 0.9
    assert sum(found.laws.values()) == pytest.approx(1)


def test_a_known_floor_narrows_what_is_known_and_each_law_that_has_it_keeps_it():
    asked = {"pool": candidates(), "target": TARGET, "limit": 1e12}
    free, fixed = suggest(bare(), **asked), suggest(bare(), fix={"E": QUIET.E}, **asked)
    assert fixed.interval_now < free.interval_now
    assert "chinchilla has E fixed at 0.35" in fixed.warnings
    both = suggest(bare(), ["chinchilla", "kaplan"], tie={"alpha": "beta"}, **asked)
    assert list(both.laws) == ["chinchilla", "kaplan"]
    with pytest.raises(UserError, match="no parameter 'zeta' in chinchilla"):
        suggest(bare(), fix={"zeta": 1.0}, **asked)


def test_nothing_affordable_is_an_empty_batch_with_its_reason():
    found = suggest(bare(), pool=candidates(), target=TARGET, limit=1.0)
    assert found.rows == ()
    assert found.interval_after == found.interval_now
    assert "more than the limit of 1" in found.reason


def test_a_run_that_tells_nothing_is_not_suggested():
    """A run among many others carries little information about a far target."""
    many = pd.concat([bare(World(noise=0.003, seed=s)) for s in range(4)], ignore_index=True)
    idle = pd.DataFrame({"N": [many.N.median()], "D": [many.D.median()], "cost": [1.0]})
    found = suggest(many, pool=idle, target=TARGET, limit=10.0)
    assert found.rows == ()
    assert "no affordable candidate helps" in found.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": candidates().drop(columns="cost")}, "no column 'cost'"),
        ({"pool": candidates().drop(columns="N")}, "no N in the pool"),
        ({"target": TARGET[["D"]]}, "no N in the target"),
        ({"pool": candidates().assign(cost="free")}, "'free'; wanted numbers"),
        ({"pool": pd.concat([candidates()] * 2)}, "'run 0' twice in the pool's index"),
        ({"pool": candidates().assign(N=lambda t: t.N.where(t.index != "run 7"))}, "1 row of the pool.*run 7: nan"),
        ({"pool": candidates().head(0)}, "empty pool"),
        ({"pool": candidates().assign(cost=-1.0)}, "positive number"),
        ({"pool": candidates().assign(D=0.0)}, "positive number"),
        ({"target": TARGET.head(0)}, "empty target"),
        ({"limit": 0.0}, "limit=0"),
        ({"most": 0}, "most=0"),
        ({"of": "beauty"}, "of='beauty'"),
        ({"of": "N_star", "target": TARGET.drop(columns="C")}, "no C in the target"),
        ({"level": 1.5}, "level 1.5"),
    ],
)
def test_bad_input_is_told(change: dict[str, Any], said: str):
    asked: dict[str, Any] = {"pool": candidates(), "target": TARGET, "limit": 1e12}
    with pytest.raises(UserError, match=said):
        suggest(bare(), **(asked | change))


def test_a_target_of_compute_and_size_has_the_length_that_follows():
    found = fit(bare(), resamples=0, starts=8)
    target = completed(found, pd.DataFrame({"C": [1.2e12], "N": [1e5]}))
    assert target.D.tolist() == pytest.approx([2e6])
    assert set(completed(found, pd.DataFrame({"C": [1e12]})).columns) == {"C", "N", "D"}


def test_numbers_may_be_written_as_people_write_them():
    pool = candidates()
    words = pool.assign(cost=pool.cost.map(lambda cost: f"{cost:,.0f}"))
    found = suggest(bare(), pool=words, target=TARGET, limit=4e11)
    assert found.rows == suggest(bare(), pool=pool, target=TARGET, limit=4e11).rows


def test_runs_of_one_trunk_pay_for_it_once():
    pool = pd.DataFrame({"cost": [8.0, 4.0, 2.0, 5.0], "shares": ["a", "a", "a", None],
                         "cost_shared": [8.0, 1.0, 0.5, 5.0], "leads": [True, True, False, False]})  # fmt: skip
    prices = prices_of(pool, pool.cost.to_numpy())
    assert [prices.of(some) for some in ([], [2], [1, 2], [0, 1, 2], [0, 3], [2, 3])] == [0, 2, 4.5, 9.5, 13, 7]
    assert prices.added([]).tolist() == [8, 4, 2, 5]
    assert prices.added([0]).tolist()[1:] == [1, 0.5, 5]
    assert prices.added([1]).tolist()[0] == 5  # 8, and 4 becomes 1
    assert prices.steps([2, 0, 1]) == [2, 6.5, 1]
    assert prices_of(pool.drop(columns="leads"), pool.cost.to_numpy()).of([0, 1, 2]) == 14


def test_before_a_law_can_be_fitted_runs_are_spread_over_its_inputs():
    pool = candidates()
    found = suggest(bare().head(4), pool=pool, target=TARGET, limit=1e12, most=6)
    assert found.kind == "space"
    assert found.interval_now is None
    assert "no law can be fitted yet" in found.warnings[0]
    assert "5 parameters" in found.warnings[0]
    assert 0 < found.cost <= 0.25e12
    alike = pool.assign(D=pool.D.median(), N=pool.N.median())
    assert len(suggest(bare().head(4), pool=alike, target=TARGET, limit=1e12, most=6).rows) == 1
    spread, near = np.log(pool.loc[list(found.rows)].N).std(), np.log(pool.nsmallest(6, "cost").N).std()
    assert spread > near
    assert "more than the limit" in suggest(bare().head(4), pool=pool, target=TARGET, limit=1.0).reason
    with pytest.raises(UserError, match="no N in the target"):
        suggest(bare().head(4), pool=pool, target={"X": [1e10]}, limit=1e12)
    again, dear = bare().head(4), pool.assign(cost=1e20)
    same = pool.head(4).assign(N=again.N.to_numpy(), D=again.D.to_numpy(), cost=1.0)
    assert "every candidate has the N and D of a run" in suggest(again, pool=same, target=TARGET, limit=1e12).reason
    both = pd.concat([same, dear], ignore_index=True)
    said = suggest(again, pool=both, target=TARGET, limit=1e12).reason
    assert "the cheapest candidate with another N or D costs 10²⁰, more than the limit of 10¹²" in said
    with pytest.raises(UserError, match="no N in the pool"):
        suggest(bare().head(4), pool=pool.drop(columns="N"), target=TARGET, limit=1e12)


def test_runs_that_are_enough_and_carry_no_law_are_refused():
    many = pd.concat([bare()] * 2, ignore_index=True).assign(N=1e3)
    with pytest.raises(Refusal):
        suggest(many, pool=candidates(), target=TARGET, limit=1e12)
