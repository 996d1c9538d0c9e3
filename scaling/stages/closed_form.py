"""Ridge regression: all penalties from one eigendecomposition, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from scaling.plan import PlannedRun
from scaling.train.attempt import Attempt
from scaling.train.evaluate import Score
from scaling.train.examiner import Sets, Verdict, point
from scaling.train.resident import Resident
from scaling.train.streams import stream

FLOOR = 1e-12  # of the largest eigenvalue: below it lies rounding


@dataclass(frozen=True)
class Fit:
    """Outputs x @ weights + intercept: `weights` (features, outputs), `intercept` (outputs,), float64."""

    weights: Tensor
    intercept: Tensor
    alpha: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs (n, outputs) of features (n, features)."""
        return x.double() @ self.weights + self.intercept


def fits(x: Tensor, targets: Tensor, penalties: tuple[float, ...]) -> Iterator[Fit]:
    """Yield the minimiser of |y - x w - b|^2 + alpha |w|^2 for each penalty, b free.

    `x` (n, features), `targets` (n, outputs); alpha = penalty x the sum over examples of the mean feature's variance.
    The eigendecomposition is of the smaller of the Gram matrices, (features, features) or (n, n).
    """
    x, targets = x.double(), targets.double()
    mean, middle = x.mean(0), targets.mean(0)
    centred, y = x - mean, targets - middle
    unit = centred.square().sum().item() / x.shape[1] or 1.0
    few = len(x) < x.shape[1]
    values, vectors = torch.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    values = values.clamp(min=FLOOR * values[-1].item())
    rotated = vectors.T @ (y if few else centred.T @ y)
    for penalty in penalties:
        alpha = penalty * unit
        solved = vectors @ (rotated / (values + alpha)[:, None])
        weights = centred.T @ solved if few else solved
        yield Fit(weights, middle - mean @ weights, alpha)


def fit_and_judge(attempt: Attempt) -> Verdict:
    """Fit with every penalty, choose on the validation set, and take the one point of the run."""
    run, sets, journal = attempt.run, attempt.sets, attempt.journal
    journal.begin(None)
    outputs = run.config.data.outputs
    chosen = drawn(run, sets)
    found = [
        (fit, judge(fit, sets.validation, outputs))
        for fit in fits(chosen.x, targets_of(chosen.y, outputs), run.config.stage.penalties)
    ]
    fit, validation = min(found, key=lambda pair: (pair[1].error or 0.0, pair[1].loss))
    verdict = Verdict(judge(fit, sets.test, outputs), validation, judge(fit, chosen, outputs))
    attempt.notes["alpha"] = fit.alpha
    journal.add(point(run, verdict, step=1, lr=None, final=True))
    journal.trained(journal.seconds, run.quantities.D)
    return verdict


def drawn(run: PlannedRun, sets: Sets) -> Resident:
    """Return the training examples of a run: all, or `shots` of each class, drawn from the run's own stream."""
    pool, shots = sets.feed.examples(0, run.quantities.D_unique), run.config.stage.shots
    if shots is None:
        return Resident(*pool, None)
    order = torch.randperm(len(pool[1]), generator=stream(run.config.seed, "shots")).to(pool[1].device)
    labels = pool[1][order]
    first = [order[labels == label][:shots] for label in range(run.config.data.outputs)]
    rows = torch.cat(first)
    return Resident(pool[0][rows], pool[1][rows], None)


def targets_of(y: Tensor, outputs: int) -> Tensor:
    """Return what is regressed on, (n, outputs) float64: one-hot labels, or the targets of a regression."""
    return y.double()[:, None] if y.is_floating_point() else functional.one_hot(y, outputs).double()


def judge(fit: Fit, examples: Resident, outputs: int) -> Score:
    """Score a fit: the squared error summed over outputs and, for classes, the error of the largest output."""
    found = fit(examples.x)
    loss = (found - targets_of(examples.y, outputs)).square().sum(1)
    if examples.y.is_floating_point():
        return Score(*_mean(loss))
    return Score(*_mean(loss), *_mean((found.argmax(1) != examples.y).double()))


def with_chance(run: PlannedRun, sets: Sets) -> Sets:
    """Return the sets with the loss of the constant predictor in squared error, the mean of the training targets."""
    outputs, pool = run.config.data.outputs, sets.feed.examples(0, run.quantities.D_unique)[1]
    constant = targets_of(pool, outputs).mean(0)
    chance, chance_se = _mean((targets_of(sets.test.y, outputs) - constant).square().sum(1))
    return replace(sets, splits=replace(sets.splits, chance=chance, chance_se=chance_se))


def _mean(values: Tensor) -> tuple[float, float]:
    """Return a mean and its standard error."""
    return values.mean().item(), values.std().item() / sqrt(len(values)) if len(values) > 1 else 0.0
