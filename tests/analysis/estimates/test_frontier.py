from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import verbs
from analysis.errors import Refusal, UserError
from analysis.estimates.frontier import envelope, frontier, hull, pareto
from analysis.estimates.isoflop import isoflop
from analysis.estimates.powerline import power_line
from analysis.figures.equation import curve_of_line
from analysis.fitting.display.plain import plain
from tests.analysis import worlds
from tests.analysis.worlds import World

points = st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.1, 10)), min_size=1, max_size=40)


@given(points)
def test_pareto_is_what_it_says(values):
    x, y = np.array(values).T
    chosen = set(pareto(x, y, np.zeros(len(x), dtype=int)).tolist())
    for i in range(len(x)):
        beaten = ((x <= x[i]) & (y <= y[i]) & ((x < x[i]) | (y < y[i]))).any()
        if i in chosen:
            assert not beaten
        elif not beaten:
            assert any(x[j] == x[i] and y[j] == y[i] for j in chosen)


@given(points)
def test_hull_is_a_part_of_pareto_and_below_all_points(values):
    x, y = np.array(values).T
    bins = np.zeros(len(x), dtype=int)
    chosen = hull(x, y, bins)
    assert set(chosen) <= set(pareto(x, y, bins))
    u, v = np.log(x[chosen]), np.log(y[chosen])
    inside = (np.log(x) >= u.min()) & (np.log(x) <= u.max())
    assert (np.log(y)[inside] >= np.interp(np.log(x)[inside], u, v) - 1e-9).all()


def test_envelope_takes_the_lowest_of_each_bin():
    y = np.array([3.0, 1.0, 2.0, 0.5])
    x = np.array([1.0, 1.1, 2.0, 2.1])
    assert envelope(x, y, np.array([0, 0, 1, 1])).tolist() == [1, 3]
    assert envelope(x, y[::-1], np.array([0, 0, 1, 1])).tolist() == [0]  # the dearer bin has nothing better


@pytest.mark.parametrize("rule", ["envelope", "hull"])
def test_exponent_of_the_best_loss(rule):
    world = World(E=0.0)
    table = worlds.curves(world, milestones=12)
    found = frontier(table, rule=rule)
    truth = -world.alpha * world.beta / (world.alpha + world.beta)
    assert found.line.exponent == pytest.approx(truth, abs=0.02)
    assert found.line.exponent_interval[0] < found.line.exponent < found.line.exponent_interval[1]


@pytest.mark.filterwarnings("error")
def test_a_line_too_steep_for_its_coefficient_is_still_a_line():
    x = np.array([1e9, 1.001e9, 1.002e9])
    line = power_line(x, np.array([3.0, 1.0, 0.1]))
    assert line.exponent < -1000
    assert line.coefficient == np.inf
    assert line.predict(1.001e9) == pytest.approx(np.exp(np.log([3.0, 1.0, 0.1]).mean()), rel=1e-2)
    assert plain(line.to_dict())["coefficient"] is None
    assert "infty" in curve_of_line(line, "y", "C", 1e9, 1.002e9).text
    rising = power_line(x, np.array([0.1, 1.0, 3.0]))
    assert rising.coefficient == 0.0
    assert rising.predict(1e12) == np.inf


def test_edges_are_marked_and_kept_out_of_N():
    table = worlds.isoflop(World(A=1.6))
    found = frontier(table)
    assert len(found.points) == 6
    assert any(point.edge for point in found.points)
    assert found.N_line is None or found.N_line.n == sum(not point.edge for point in found.points)
    assert any("smallest or largest" in text for text in found.warnings)


def test_budgets_are_the_bins_of_an_isoflop_grid():
    table = worlds.isoflop(World())
    found = frontier(table)
    best = table.groupby(["budget", "N"])["loss"].mean().groupby("budget").min()
    np.testing.assert_allclose([point.y for point in found.points], best.to_numpy())


def test_foreign_table_needs_only_x_and_y():
    C = np.geomspace(1, 1e4, 30)
    found = frontier(pd.DataFrame({"C": C, "loss": C**-0.2}), rule="pareto")
    assert found.line.exponent == pytest.approx(-0.2)
    assert found.N_line is None
    json.dumps(found.line.to_dict())


def test_a_frontier_in_hours_has_the_rows_within_runs_that_end_at_one_D():
    hours = np.geomspace(1, 64, 7)
    curves = [pd.DataFrame({"run_id": f"n{n}", "N": n * 1e6, "D": 1e9, "step": range(1, 8), "hours": n * hours,
                            "loss": 2 + (n * hours) ** -0.3}) for n in (1, 2)]  # fmt: skip
    assert verbs.frontier(pd.concat(curves, ignore_index=True), x="hours", resamples=0).n_cells == 14


def test_table_of_points_can_be_fitted():
    table = frontier(worlds.isoflop(World())).table()
    assert {"C", "loss", "N", "D"} <= set(table.columns)


def test_a_response_is_no_input():
    for wrong in ({"x": "loss"}, {"y": "N"}, {"x": "C", "y": "C"}):
        with pytest.raises(UserError, match="as both the response and an input; wanted two columns; choose another"):
            frontier(worlds.isoflop(World()), **wrong)
    with pytest.raises(UserError, match="found D as both the response and an input"):
        isoflop(worlds.isoflop(World()), y="D")


def test_bad_questions():
    table = worlds.isoflop(World())
    with pytest.raises(UserError, match="envelope, pareto, hull"):
        frontier(table, rule="best")
    with pytest.raises(UserError, match="no column 'perplexity'"):
        frontier(table, y="perplexity")
    with pytest.raises(UserError, match="positive"):
        frontier(table.assign(loss=0.0))
    with pytest.raises(Refusal, match="wanted 3"):
        frontier(table[table["budget"] == 1e9])


@pytest.mark.parametrize("budgets", [3, 4])
def test_lines_through_three_points_have_no_interval(budgets: int) -> None:
    """Seeds say nothing of how far points lie from a line: in a coarse grid of sizes, farther than the noise."""
    rng = np.random.default_rng(0)
    C = np.repeat(10.0 ** np.arange(9, 9 + budgets), 5 * 3)
    N = np.sqrt(C / 6) * np.tile(np.repeat(4.0 ** np.arange(-2, 3), 3), budgets)
    loss = (20 * N**-0.3 + 20 * (C / 6 / N) ** -0.3) * np.exp(0.001 * rng.standard_normal(len(C)))
    table = pd.DataFrame({"N": N, "D": C / 6 / N, "C": C, "seed": np.arange(len(C)) % 3, "loss": loss})
    found = frontier(table, resamples=100)
    lines = found.line, found.N_line, found.D_line
    assert all(line.n == budgets for line in lines)
    assert all((line.exponent_interval is None) == (budgets == 3) for line in lines)
    assert any("no interval of a line through three points" in said for said in found.warnings) == (budgets == 3)


@pytest.mark.parametrize("seeds", [1, 3])
def test_optima_among_sizes_that_grow_with_the_budget_are_no_surer_than_the_steps_between_sizes(seeds: int) -> None:
    """The best of the same multiples of C^.5 is the same at each budget: a line without scatter."""
    rng = np.random.default_rng(0)
    C = np.repeat(np.geomspace(1e17, 1e20, 6), 9 * seeds)
    N = 0.25 * np.sqrt(C / 6) * np.tile(np.repeat(np.geomspace(1 / 6, 6, 9), seeds), 6)
    loss = (1.7 + 480 * N**-0.34 + 2100 * (C / 6 / N) ** -0.37) * np.exp(0.001 * rng.standard_normal(len(C)))
    table = pd.DataFrame({"N": N, "D": C / 6 / N, "C": C, "seed": np.arange(len(C)) % seeds, "loss": loss})
    found = frontier(table, resamples=100)
    for line, truth in ((found.N_line, 0.37 / 0.71), (found.D_line, 0.34 / 0.71)):
        assert line.exponent == pytest.approx(0.5)
        assert line.exponent_interval[0] < truth < line.exponent_interval[1]
    assert any("steps between them" in said for said in found.warnings)


def test_a_single_name_is_one_of_several():
    rows = worlds.small()
    alone, one = (
        verbs.frontier(rows, resamples=0, pool=pool, keep=keep)
        for pool, keep in (("lr", "diverged"), (("lr",), ("diverged",)))
    )
    assert alone.to_dict() == one.to_dict()
