"""Optima over runs of several rates or architectures: the best of each setting counts, not their mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import verbs
from analysis.figures.compute import compute_numbers
from analysis.table.read import load_table
from analysis.table.select import select_rows

COSTS = {1e-4: 1.10, 3e-4: 1.02, 1e-3: 1.0, 3e-3: 1.05}
"""The factor on the loss at each learning rate."""


def budgets_of_runs() -> pd.DataFrame:
    """Six sizes at each of five budgets, one run each."""
    rng = np.random.default_rng(0)
    C = np.repeat(np.geomspace(1e18, 1e20, 5), 6)
    N = 0.3 * np.sqrt(C / 6) * np.tile(np.geomspace(1 / 5, 5, 6), 5)
    D = C / (6 * N)
    noise = np.exp(0.002 * rng.standard_normal(len(C)))
    return pd.DataFrame({"N": N, "D": D, "C": C, "loss": (1.7 + 406 * N**-0.34 + 410 * D**-0.28) * noise})


def at_rates(runs: pd.DataFrame, column: str, costs: dict) -> pd.DataFrame:
    return pd.concat([runs.assign(**{column: value, "loss": runs["loss"] * cost}) for value, cost in costs.items()])


@pytest.mark.parametrize(("column", "costs"), [("lr", COSTS), ("arch", {"dense": 1.03, "sparse": 1.0})])
def test_the_best_kind_of_each_setting_counts(column, costs):
    runs = budgets_of_runs()
    mixed = at_rates(runs, column, costs)
    for find, what, same in ((verbs.frontier, "points", "N and D and C"), (verbs.isoflop, "budgets", "N and budget")):
        found, alone = (find(table, resamples=0) for table in (mixed, runs))
        assert found.to_dict()[what] == alone.to_dict()[what]
        assert f"of runs with the same {same} only those of the best {column} count" in found.warnings
    rows = select_rows(load_table(mixed), y="loss")[0]
    drawn = np.concatenate([path.y for path in compute_numbers(rows, y="loss").paths])
    assert sorted(drawn) == sorted(runs["loss"])


def test_kinds_of_one_budget_may_differ_in_compute_by_a_batch():
    runs = budgets_of_runs().assign(budget=lambda table: table["C"])
    mixed = at_rates(runs, "bs", {256: 1.0, 512: 1.03})
    for column in ("D", "C"):
        mixed[column] *= np.where(mixed["bs"] == 512, 0.999, 1.0)
    found, alone = (verbs.isoflop(table, resamples=0) for table in (mixed, runs))
    assert found.to_dict()["budgets"] == alone.to_dict()["budgets"]


def test_kinds_that_do_not_differ_are_repeats_of_each_other():
    rng = np.random.default_rng(1)
    runs = budgets_of_runs()
    again = runs.assign(loss=runs["loss"] * np.exp(0.002 * rng.standard_normal(len(runs))))
    found = verbs.frontier(pd.concat([runs.assign(author="a"), again.assign(author="b")]), resamples=0)
    assert {point.n for point in found.points} == {2}


@pytest.mark.parametrize("column", ["init_seed", "fold", "split", "eval_set"])
def test_repeats_and_test_sets_are_averaged_even_where_they_differ(column):
    runs = at_rates(budgets_of_runs(), column, {"a": 1.01, "b": 1.0, "c": 0.99})
    found = verbs.frontier(runs, resamples=0)
    assert {point.n for point in found.points} == {3}
    assert not any("only the best" in text for text in found.warnings)


def test_the_luck_of_a_run_that_its_milestones_share_is_no_difference_of_kinds():
    rng = np.random.default_rng(3)
    N, seed, D = (one.ravel() for one in np.meshgrid(np.geomspace(1e6, 1e8, 5), range(3), np.geomspace(1e8, 1e10, 12)))
    run = np.unique([N, seed], axis=1, return_inverse=True)[1]
    luck = np.exp(0.005 * rng.standard_normal(15))[run] * np.exp(0.0005 * rng.standard_normal(len(N)))
    curves = pd.DataFrame({"run": [f"run{k}" for k in run], "N": N, "D": D, "loss": (1.7 + 400 * N**-0.34) * luck})
    curves["loss"] += 410 * D**-0.28
    curves["machine"] = np.array(["one", "two", "three"])[seed]
    found = verbs.frontier(curves, rows="all", rule="pareto", resamples=0)
    assert not any("only the best" in text for text in found.warnings)
