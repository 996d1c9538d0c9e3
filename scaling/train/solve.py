"""The exact least-squares solution of a linear model, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from scaling.models.build_model import build_model
from scaling.train.attempt import Attempt
from scaling.train.evaluation import NOT_FINITE, Evaluation, evaluate, make_point
from scaling.train.feed.feed import Feed
from scaling.train.output.kept_weights import keep_weights
from scaling.train.streams import stream

ROWS = 8_192  # examples folded in at a time


def solve(attempt: Attempt) -> Evaluation:
    """Evaluate the exact solution at every milestone of a run, and return the last evaluation."""
    run, journal, evaluation = attempt.run, attempt.journal, NOT_FINITE
    journal.begin(None)
    config, quantities = run.config, run.quantities
    module: Any = build_model(config.model, config.data.shape, config.data.outputs, stream(config.seed, "init"))
    module.to(attempt.device)
    for step, weights in solutions(
        attempt.sets.feed, quantities.milestones, batch=quantities.batch, width=config.model.width
    ):
        with torch.no_grad():
            module.head.weight.copy_(torch.from_numpy(weights)[None, :])
        evaluation = evaluate(run, attempt.sets, module)
        if step in run.kept_steps:
            keep_weights(attempt.folder, run.run_id, step, module)
        journal.add(make_point(run, evaluation, step=step, lr=None, final=step == quantities.steps))
    journal.trained(journal.seconds, quantities.D)
    return evaluation


def solutions(feed: Feed, milestones: tuple[int, ...], *, batch: int, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each milestone's step and the least-squares weights (width,) of all examples up to it.

    The examples so far are represented by the triangular factor R of their QR decomposition, in float64 and with at
    most width + 1 rows, which is updated with the next ones: as exact as solving at once, in constant memory.
    """
    factor, seen = np.zeros((0, width + 1)), 0
    for step in milestones:
        for start in range(seen, step * batch, ROWS):
            x, y = feed.examples(start, min(start + ROWS, step * batch))
            rows = torch.cat([x.flatten(1)[:, :width].double(), y.double()[:, None]], dim=1)
            stacked = np.concatenate([factor, rows.cpu().numpy()])
            factor = np.asarray(np.linalg.qr(stacked, mode="r"))
        seen = step * batch
        weights, *_ = np.linalg.lstsq(factor[:, :-1], factor[:, -1], rcond=None)
        yield step, weights
