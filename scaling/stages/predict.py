"""Evaluate a network on the test images or on crops of them, with their labels or with label lists."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling.augment.standard import Standard, StandardBatch
from scaling.config import RunConfig
from scaling.data.chance import mean_and_error
from scaling.global_streams import own_streams
from scaling.stages.label_lists import read_label_lists
from scaling.stages.networks import crop_size, parent_network, with_resize
from scaling.train.attempt import Attempt, Progress
from scaling.train.evaluation import Evaluation, make_point
from scaling.train.feed.feed import Epochs
from scaling.train.feed.normalisation import normalisation_of
from scaling.train.feed.resident import Resident, bring
from scaling.train.feed.run_data import RunData, load_splits
from scaling.train.losses import Score
from scaling.train.precision import autocast
from scaling.train.sizes import EVALUATED_ROWS
from scaling.train.streams import derive_seed, stream

NOT_EVALUATED = Score(nan, nan)  # for sets that are not evaluated


@dataclass(frozen=True)
class Crops:
    """Random crops of an image, `number` of them, by `augmentation`; average: the quantity that is averaged."""

    number: int
    average: Literal["logits", "probabilities"]
    augmentation: Standard


def load_test_set(config: RunConfig, device: torch.device) -> RunData:
    """Return the test set on the device; the other sets are empty, as they are not evaluated."""
    splits = load_splits(config, 1)
    scale = normalisation_of(splits, config.data.shape, device)
    test = bring(splits.test, scale, device, reads=len(splits.test))
    none = Resident(test.x[:0], test.y[:0], None)
    return RunData(Epochs(none, seed=0), none, none, test, splits)


def evaluate_network(attempt: Attempt, *, crops: Crops | None, labels: Path | None) -> Evaluation | None:
    """Evaluate the parent's network, the one point of the run; None if the attempt was stopped."""
    run, test, journal = attempt.run, attempt.sets.test, attempt.journal
    journal.begin(None)
    network = parent_network(attempt, new_head=False)
    logs = log_probabilities(attempt, with_resize(network, attempt), crops)
    if logs is None:
        return None
    allowed = allowed_classes(test.y, run.config.data.outputs)
    if labels is not None:
        found = read_label_lists(
            labels, classes=run.config.data.outputs, examples=len(test), published=attempt.sets.splits.published
        )
        allowed = torch.from_numpy(found).to(test.y.device)
        attempt.notes["judged"] = int(allowed.any(1).sum())
    evaluation = Evaluation(label_list_score(logs, allowed), NOT_EVALUATED, NOT_EVALUATED)
    journal.add(make_point(run, evaluation, step=1, lr=None, final=True))
    journal.trained(journal.seconds, len(test) * (crops.number if crops else 1))
    return evaluation


@torch.no_grad()
def log_probabilities(attempt: Attempt, network: nn.Module, crops: Crops | None) -> Tensor | None:
    """Return log probabilities of the test set (n, classes) float64, None if the attempt was stopped."""
    test, device = attempt.sets.test, attempt.device
    generator = stream(attempt.run.config.seed, "crops", device=device)
    network.eval()
    size = crop_size(attempt)
    parts, rows = [], EVALUATED_ROWS[device.type]
    streams = own_streams(derive_seed(attempt.run.config.seed, "evaluation"))
    with autocast(attempt.run.config, device), streams:
        for start in range(0, len(test), rows):
            if attempt.is_to_stop:
                return None
            x, _ = test.between(start, start + rows)
            if crops is None:
                parts.append(functional.log_softmax(network(x).double(), dim=1))
            else:
                parts.append(_over_crops(crops, network, x, generator, size))
            if attempt.watch is not None:
                done = min(start + rows, len(test))
                attempt.watch(Progress(step=done, steps=len(test), D=0, loss=nan, examples_per_second=0.0))
    return torch.cat(parts)


def _over_crops(
    crops: Crops, network: nn.Module, x: Tensor, generator: torch.Generator, size: tuple[int, int] | None
) -> Tensor:
    """Return log probabilities (n, classes) of the mean logits, or the logarithm of the mean probabilities."""
    augment = StandardBatch(crops.augmentation, size)
    total: Tensor | float = 0.0
    for _ in range(crops.number):
        flip, uniform, _ = augment.draw(len(x), generator)
        found = network(augment.sampled(x, flip, uniform)).double()
        total = total + (found if crops.average == "logits" else found.softmax(1))
    mean = total / crops.number
    assert isinstance(mean, Tensor), "there is at least one crop"
    return mean.log_softmax(1) if crops.average == "logits" else mean.log()


def allowed_classes(y: Tensor, outputs: int) -> Tensor:
    """Return which class is right for each example, (n, classes) bool."""
    return functional.one_hot(y, outputs).bool()


def label_list_score(logs: Tensor, allowed: Tensor) -> Score:
    """Score log probabilities (n, classes) by the classes that are right, without the examples that have none."""
    some = allowed.any(1)
    logs, allowed = logs[some], allowed[some]
    loss = -logs.masked_fill(~allowed, -torch.inf).logsumexp(1)
    wrong = ~allowed.gather(1, logs.argmax(1, keepdim=True))[:, 0]
    return Score(*mean_and_error(loss), *mean_and_error(wrong.double()))
