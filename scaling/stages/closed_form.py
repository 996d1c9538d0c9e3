"""Ridge regression in closed form: all penalties from one eigendecomposition, in float64, over blocks of examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from scaling.data.base import Stream
from scaling.data.chance import mean_and_error
from scaling.train.attempt import Attempt
from scaling.train.evaluation import Evaluation, make_point
from scaling.train.feed.feed import Epochs
from scaling.train.feed.resident import Examples
from scaling.train.feed.run_data import RunData
from scaling.train.losses import Score
from scaling.train.sizes import EVALUATED_ROWS

FLOOR = 1e-12  # times the largest eigenvalue: smaller ones are rounding errors


@dataclass(frozen=True)
class Fit:
    """Outputs x @ weights + intercept: `weights` (features, outputs), `intercept` (outputs,), float64."""

    weights: Tensor
    intercept: Tensor
    alpha: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs (n, outputs) of features (n, features)."""
        return x.double() @ self.weights + self.intercept


def fits(examples: Examples, outputs: int, penalties: tuple[float, ...]) -> Iterator[Fit]:
    """Yield the minimiser of |y - x w - b|^2 + alpha |w|^2 for each penalty, b free.

    alpha = penalty x the sum over examples of the features' mean variance.
    """
    mean, target_mean = means(examples, outputs)
    features = len(mean)
    if len(examples) < features:
        yield from _fits_from_examples(examples, outputs, penalties)
        return
    gram = torch.zeros(features, features, dtype=torch.float64, device=mean.device)
    cross = torch.zeros(features, outputs, dtype=torch.float64, device=mean.device)
    for x, targets in blocks(examples, outputs):
        centred = x - mean
        gram.addmm_(centred.T, centred)
        cross.addmm_(centred.T, targets - target_mean)
    unit = gram.trace().item() / features or 1.0
    values, vectors = _eigen(gram)
    rotated = vectors.T @ cross
    for penalty in penalties:
        weights = vectors @ (rotated / (values + penalty * unit)[:, None])
        yield Fit(weights, target_mean - mean @ weights, penalty * unit)


def _fits_from_examples(examples: Examples, outputs: int, penalties: tuple[float, ...]) -> Iterator[Fit]:
    """Yield the same fits from the Gram matrix of the examples, for fewer examples than features."""
    x, y = examples.between(0, len(examples))
    x, targets = x.double(), targets_of(y, outputs)
    mean, target_mean = x.mean(0), targets.mean(0)
    centred = x - mean
    unit = centred.square().sum().item() / len(mean) or 1.0
    values, vectors = _eigen(centred @ centred.T)
    rotated = vectors.T @ (targets - target_mean)
    for penalty in penalties:
        weights = centred.T @ (vectors @ (rotated / (values + penalty * unit)[:, None]))
        yield Fit(weights, target_mean - mean @ weights, penalty * unit)


def _eigen(gram: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(gram)
    return values.clamp(min=FLOOR * values[-1].item()), vectors


def fit_and_evaluate(attempt: Attempt) -> Evaluation:
    """Fit with every penalty, choose one on the validation set, and evaluate it: the one point of the run."""
    run, sets, journal = attempt.run, attempt.sets, attempt.journal
    journal.begin(None)
    outputs, chosen = run.config.data.outputs, training_subset(sets)
    candidates = fits(chosen, outputs, run.config.stage.penalties)
    found = [(fit, score_fit(fit, sets.validation, outputs)) for fit in candidates]
    fit, validation = min(found, key=lambda pair: (pair[1].error or 0.0, pair[1].loss))
    evaluation = Evaluation(score_fit(fit, sets.test, outputs), validation, score_fit(fit, chosen, outputs))
    attempt.notes["alpha"] = fit.alpha
    journal.add(make_point(run, evaluation, step=1, lr=None, final=True))
    journal.trained(journal.seconds, run.quantities.D)
    return evaluation


def training_subset(sets: RunData) -> Examples:
    """Return the training examples in their own order."""
    assert isinstance(sets.feed, Epochs), "features are of a subset with an end"
    return sets.feed.subset


def blocks(examples: Examples, outputs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features (n, features) and targets (n, outputs), float64, in blocks of examples."""
    rows = EVALUATED_ROWS[examples.device.type]
    for start in range(0, len(examples), rows):
        x, y = examples.between(start, start + rows)
        yield x.double(), targets_of(y, outputs)


def means(examples: Examples, outputs: int) -> tuple[Tensor, Tensor]:
    """Return the mean features (features,) and the mean targets (outputs,)."""
    sums = [(x.sum(0), targets.sum(0)) for x, targets in blocks(examples, outputs)]
    x, targets = (torch.stack(parts).sum(0) / len(examples) for parts in zip(*sums, strict=True))
    return x, targets


def targets_of(y: Tensor, outputs: int) -> Tensor:
    """Return the regression targets (n, outputs) float64: one-hot labels, or the data's own targets."""
    return y.double()[:, None] if y.is_floating_point() else functional.one_hot(y, outputs).double()


def score_fit(fit: Fit, examples: Examples, outputs: int) -> Score:
    """Score a fit: the squared error summed over outputs and, for classes, the error of the largest output."""
    classes = not examples.y.is_floating_point()
    loss, wrong = [], []
    for x, targets in blocks(examples, outputs):
        found = fit(x)
        loss.append((found - targets).square().sum(1))
        wrong.append((found.argmax(1) != targets.argmax(1)).double())
    return Score(*mean_and_error(torch.cat(loss)), *(mean_and_error(torch.cat(wrong)) if classes else ()))


def with_chance(sets: RunData, outputs: int) -> RunData:
    """Return the sets with `chance` in squared error: the loss of predicting the mean target of the whole subset."""
    pool = sets.splits.train
    assert not isinstance(pool, Stream), "features are of a subset with an end"
    constant = targets_of(torch.from_numpy(pool.y).to(sets.test.y.device), outputs).mean(0)
    chance, chance_se = mean_and_error((targets_of(sets.test.y, outputs) - constant).square().sum(1))
    return replace(sets, splits=replace(sets.splits, chance=chance, chance_se=chance_se))
