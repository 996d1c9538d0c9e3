from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.errors import Refusal, UserError
from analysis.estimates.task_forecast.chained import chained
from tests.analysis import worlds
from tests.analysis.worlds import World

WORLD = World()
AT = [{"N": 1e5, "D": 1e7}]


def error_at(loss):
    return 0.2 * loss**1.8


@pytest.fixture(scope="module")
def table():
    """One row a run: its loss, and a task's error by the loss with noise of its own."""
    rows = worlds.isoflop(WORLD, seeds=1)
    noise = np.random.default_rng(5).normal(0, 0.01, len(rows))
    return rows.assign(error=error_at(rows["loss"]) * np.exp(noise))


def test_two_steps_in_one_row_find_the_truth(table):
    (one,) = chained(table, at=AT, y="error", resamples=100)
    truth = error_at(float(WORLD.loss(np.array(1e5), np.array(1e7))))
    assert one.value == pytest.approx(truth, rel=0.05)
    assert one.interval[0] < truth < one.interval[1]
    assert one.link_params["alpha"] == pytest.approx(1.8, abs=0.05)
    assert one.times > 1
    assert any("below the least" in text for text in one.warnings)


@pytest.mark.slow
def test_a_stage_is_joined_to_the_run_it_started_from(table):
    trained = table.assign(task="test", origin=None, error=np.nan)
    probed = table.assign(task="probe:digits", origin=table["run_id"], run_id=table["run_id"] + "p", loss=np.nan)
    both = pd.concat([trained, probed.sample(frac=1, random_state=0)], ignore_index=True)
    (one,) = chained(both, at=AT, y="error", task="probe:digits", resamples=20, check=False)
    (whole,) = chained(table, at=AT, y="error", resamples=20, check=False)
    assert one.value == pytest.approx(whole.value, rel=1e-6)
    assert one.task == "probe:digits"
    orphans = both.assign(origin=both["origin"].where(both["origin"] != table["run_id"].iloc[0], "gone"))
    (one,) = chained(orphans, at=AT, y="error", task="probe:digits", resamples=20, check=False)
    assert "left out: 1 row of error without a loss of its run" in one.warnings


@pytest.mark.slow
def test_both_steps_are_backtested_beside_one(table):
    (one,) = chained(table, at=AT, y="error", resamples=20)
    assert len(one.tested) == 3
    assert all(0 < test.error < 0.05 for test in one.tested)
    assert all(test.direct is not None for test in one.tested)
    assert any("backtests of both steps: off by" in text and "in one step" in text for text in one.warnings)
    (unchecked,) = chained(table, at=AT, y="error", resamples=20, check=False)
    assert "neither step was backtested" in unchecked.warnings


@pytest.mark.slow
def test_a_task_that_changes_beyond_what_was_seen_shows_in_the_backtests(table):
    bent = table.assign(
        error=np.where(table["C"] > 3e9, 2, 1) * table["error"]
    )  # the task changes beyond what was seen
    (off,) = chained(bent, at=AT, y="error", resamples=20)
    assert min(test.bias for test in off.tested) > 0.3


@pytest.mark.slow
def test_the_interval_is_of_both_steps_and_allows_for_drifts_of_the_first(table):
    (one,) = chained(table, at=AT, y="error", resamples=100)
    low, high = (error_at(end) for end in one.via.mean_interval)
    assert np.log(one.interval[1] / one.interval[0]) > 0.95 * np.log(high / low)


def test_what_does_not_fall_with_the_loss_is_refused(table):
    with pytest.raises(Refusal, match="does not fall as the loss falls"):
        chained(table.assign(score=1 - table["error"] / 3), at=AT, y="score", resamples=20)
    with pytest.raises(UserError, match="error = 1 - accuracy"):
        chained(table.assign(accuracy=1 - table["error"] / 3), at=AT, y="accuracy", resamples=20)
    odd = (
        table.drop(columns="task")
        .rename(columns={"val_error": "arc err"})
        .assign(**{"arc score": 1 - table["error"] / 3})
    )
    with pytest.raises(Refusal, match="error = 1 - `arc score`"):
        chained(odd, at=AT, y="arc score", resamples=20)
    with pytest.raises(UserError, match='--y "arc err" takes'):
        chained(odd, at=AT, y="error", task="arc err", resamples=20)
    with pytest.raises(UserError, match="leave out --task, and name the column"):
        chained(odd, at=AT, y="error", task="arc", resamples=20)
    with pytest.raises(UserError, match="two columns"):
        chained(table, at=AT, y="loss", resamples=20)
    for rows in (table, table.drop(columns="task")):
        with pytest.raises(UserError, match="--y val_error"):
            chained(rows, at=AT, y="error", task="val_error", resamples=20)
