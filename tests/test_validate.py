"""The whole pipeline, from plan to fit, on a task whose exponents theory knows (sweeps/validate.yaml)."""

from __future__ import annotations

import pytest

from analysis import fit, load_table
from analysis.estimates.frontier import frontier
from analysis.table.select import select_rows

pytestmark = pytest.mark.slow
A, B = 1.75, 1.25  # the spectra of linear_teacher
EXACT = "optim == 'lstsq'"
GRADIENT = "optim == 'sgd'"


@pytest.fixture(scope="module")
def table(make_command_line):
    scaling = make_command_line("validate")
    scaling("run", "sweep=validate", "launcher.workers=1", "train.device=cpu")  # each worker makes the data anew
    return load_table(scaling.folder / "results" / "validate")


def test_loss_falls_with_the_size_of_the_model(table):
    law = fit(table, law="power", x="N", where=f"{EXACT} and D > 60000", resamples=0)
    assert law.params["alpha"] == pytest.approx(A - 1, rel=0.08)


def test_loss_falls_with_data(table):
    law = fit(table, law="power", x="D", where=f"{EXACT} and width == 2048", resamples=200)
    assert law.params["alpha"] == pytest.approx(min(A - 1, 2 * B), rel=0.08)
    low, high = law.intervals["alpha"]
    assert low < law.params["alpha"] < high
    assert low < min(A - 1, 2 * B) < high


def test_loss_falls_with_time(table):
    """Where the widest model has learned its first features, and is not yet held back by its width."""
    rows = f"{GRADIENT} and width == 512 and 50 <= step <= 2000"
    law = fit(table, law="power", x="D", where=rows, rows="all", resamples=0)
    assert law.params["alpha"] == pytest.approx((A - 1) / B, rel=0.05)


@pytest.fixture(scope="module")
def optimal(table):
    rows, _ = select_rows(table, y="loss", rows="all", where=f"{GRADIENT} and C > 1e7")
    return frontier(rows, rule="envelope", resamples=200)


def test_loss_falls_with_compute(optimal):
    assert -optimal.line.exponent == pytest.approx((A - 1) / (B + 1), rel=0.05)


def test_the_best_size_grows_with_compute(optimal):
    assert optimal.N_line.exponent == pytest.approx(1 / (B + 1), rel=0.05)
