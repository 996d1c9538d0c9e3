"""The training loop against exact theory: one-pass SGD and least squares on a power-law spectrum.

tests/test_validate.py holds the whole pipeline to the same.
With a = 1.75, b = 1.25: L(t) ~ t^-((a - 1) / b) and L(N) ~ N^-(a - 1) (see scaling/data/linear_teacher.py).
"""

from __future__ import annotations

import numpy as np
import pytest

from scaling.train.run import train_run
from tests.train.runs import folder_of, planned

pytestmark = pytest.mark.slow
DATA = {"is": "linear_teacher", "a": 1.75, "b": 1.25}


def exponent(x, loss):
    return -np.polyfit(np.log(x), np.log(loss), 1)[0]


def test_loss_falls_with_steps_as_theory_says(tmp_path):
    at = [int(step) for step in np.geomspace(20, 600, 12)]
    run = planned(
        {"steps": 600, "batch": 128, "milestones": {"unit": "steps", "at": at}},
        model={"is": "linear", "width": 512},
        data=DATA,
        optim={"is": "sgd", "lr": 0.1},
        schedule="constant",
    )
    points = train_run(run, folder_of(run, tmp_path), device="cpu").points
    assert all(point.loss_se == 0 for point in points)  # the population's, in closed form
    assert exponent([p.step for p in points], [p.loss for p in points]) == pytest.approx(0.75 / 1.25, rel=0.05)


def test_the_best_loss_falls_with_width_as_theory_says(tmp_path):
    widths, losses = [32, 64, 128], []
    for width in widths:
        keys = {"model": {"is": "linear", "width": width}, "optim": {"is": "lstsq"}}
        run = planned({"examples": 16384, "batch": 128}, data=DATA, **keys)
        record = train_run(run, folder_of(run, tmp_path), device="cpu")
        assert record.points[-1].val_loss == pytest.approx(record.points[-1].loss, rel=0.2)
        losses.append(record.points[-1].loss)
    assert exponent(widths, losses) == pytest.approx(0.75, rel=0.08)
