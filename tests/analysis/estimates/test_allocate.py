from __future__ import annotations

import json

import pytest

from analysis.errors import UserError
from analysis.estimates.allocate import allocate
from tests.analysis import worlds
from tests.analysis.worlds import OFF_CENTRE, SKEWED, World


@pytest.fixture(scope="module")
def balanced():
    return allocate(worlds.isoflop(World()), at=[1e12], resamples=300)


def by_name(found):
    return {approach.name: approach for approach in found.approaches}


def test_three_approaches_side_by_side(balanced):
    world = World()
    assert balanced.agree is True
    for name in ("isoflop", "isoflop_shaped", "parametric"):
        approach = by_name(balanced)[name]
        assert approach.N_exponent == pytest.approx(world.exponent, abs=0.02)
        assert approach.N_exponent + approach.D_exponent == pytest.approx(1, abs=0.01)
        target = approach.targets[0]
        assert pytest.approx(float(world.best_N(1e12)), rel=0.15) == target.N
        assert target.N_interval[0] < target.N < target.N_interval[1]
        assert target.times == pytest.approx(100, rel=0.01)


def test_targets_below_the_runs_or_far_beyond_them_are_reported():
    table = worlds.isoflop(World())
    near = [float(table["C"].min()), 100 * float(table["C"].max())]
    assert allocate(table, at=near, resamples=0).warnings == ()
    below, beyond = allocate(table, at=[near[0] / 2, 2 * near[1]], resamples=0).warnings
    assert "is below the smallest run's" in below
    assert "is 200 times the largest run's" in beyond


@pytest.mark.slow
def test_parabolas_with_a_common_skew_are_not_biased_where_exponents_are_skewed():
    found = allocate(worlds.isoflop(SKEWED), resamples=0)
    assert found.bias.N_exponent == pytest.approx(0, abs=0.002)
    assert by_name(found)["parametric"].N_exponent == pytest.approx(SKEWED.exponent, abs=0.01)
    assert allocate(worlds.isoflop(World()), resamples=0).bias.N_exponent == pytest.approx(0, abs=0.005)


@pytest.mark.slow
def test_an_approach_that_cannot_say_is_refused_alone():
    found = by_name(allocate(worlds.isoflop(OFF_CENTRE), resamples=50))
    assert found["isoflop"].status == "refused"
    assert "wanted 3" in found["isoflop"].reason
    assert found["parametric"].status == "ok"


def test_a_grid_without_budgets_leaves_the_law():
    table = worlds.grid(World(), (8, 16, 32, 64, 128), (2048, 3072, 4096, 6144, 8192, 16384, 32768), seeds=2)
    far = 60 * float((table["N"] * table["D"]).max())
    found = by_name(allocate(table.drop(columns="C"), at=[far], resamples=0))
    assert found["isoflop"].status == "refused"
    assert found["parametric"].status == "ok"
    assert found["parametric"].targets[0].times == pytest.approx(10)


def test_numbers_are_plain(balanced):
    assert json.loads(json.dumps(balanced.to_dict()))["agree"] is True


def test_bad_target():
    with pytest.raises(UserError, match="positive"):
        allocate(worlds.isoflop(World()), at=[-1.0])
