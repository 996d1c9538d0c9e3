"""Evaluate members of a stack together at a milestone, with the scores of single runs up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from scaling.config import RunConfig
from scaling.train.errors import result_or_error
from scaling.train.evaluation import Evaluation, evaluate
from scaling.train.feed.resident import Examples
from scaling.train.losses import Score
from scaling.train.precision import autocast
from scaling.train.sizes import EVALUATED_NUMBERS, EVALUATED_ROWS
from scaling.train.stacked.layers import Forward, MemberValues, UnknownLayer, stack_layers
from scaling.train.stacked.losses import log_probabilities, missed
from scaling.train.stacked.member_state import MemberState
from scaling.train.stacked.rows import Rows

LEAST_ROWS = 512  # examples at a time; products of fewer are slow


def evaluate_together(
    members: Sequence[MemberState], places: Sequence[int], rows: Rows
) -> list[Evaluation | Exception]:
    """Evaluate members; one by one if they are users' modules, or if the data can compute the expected loss.

    places: the members' rows. The error of a member that is evaluated by itself takes the place of its scores.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault(tuple(map(len, _sets(member))), []).append(i)
    found: dict[int, Evaluation | Exception] = {}
    most = max(1, _most_numbers(rows) // (LEAST_ROWS * _widest(rows)))
    for group in groups.values():
        for start in range(0, len(group), most):
            positions = group[start : start + most]
            part, at = [members[i] for i in positions], [places[i] for i in positions]
            found |= dict(zip(positions, _evaluated(part, at, rows), strict=True))
    return [found[i] for i in range(len(members))]


def _evaluated(members: Sequence[MemberState], places: Sequence[int], rows: Rows) -> list[Evaluation | Exception]:
    """Evaluate members whose sets have the same sizes."""
    forward = None if members[0].attempt.sets.splits.population_loss else forward_of(members, places, rows)
    if forward is None:
        return [_alone(member, place, rows) for member, place in zip(members, places, strict=True)]
    config, most = members[0].attempt.run.config, max(1, _most_numbers(rows) // (len(members) * _widest(rows)))
    most = min(most, EVALUATED_ROWS[rows.trained.device.type])
    parts = [_scores(forward, sets, config, most) for sets in zip(*map(_sets, members), strict=True)]
    return [Evaluation(*scores) for scores in zip(*parts, strict=True)]


def _sets(member: MemberState) -> tuple[Examples, Examples, Examples]:
    sets = member.attempt.sets
    return sets.test, sets.validation, sets.train


def forward_of(members: Sequence[MemberState], places: Sequence[int], rows: Rows) -> Forward | None:
    """Return the forward pass of the members' models in evaluation, None if their modules have no stacked form."""
    if rows.by_vmap:
        return None
    index = torch.tensor(places, device=rows.trained.device)
    values = {name: value.detach() for name, value in rows.values.items()}
    if list(places) != list(range(len(rows.trained))):
        values = {name: value.index_select(0, index) for name, value in values.items()}
    try:
        return stack_layers(members[0].module, MemberValues(values, None))
    except UnknownLayer:
        return None


def _alone(member: MemberState, place: int, rows: Rows) -> Evaluation | Exception:
    rows.write_to(member.module, place)
    return result_or_error(lambda: evaluate(member.attempt.run, member.attempt.sets, member.module))


def _most_numbers(rows: Rows) -> int:
    """Return how many numbers of the widest layer, for all members together, are computed at a time."""
    return EVALUATED_NUMBERS[rows.trained.device.type]


def _widest(rows: Rows) -> int:
    """Return the largest dimension of a parameter, which bounds the features of a layer."""
    return max(size for column in rows.layout.columns for size in column.shape)


@torch.no_grad()
def _scores(forward: Forward, sets: Sequence[Examples], config: RunConfig, most: int) -> list[Score]:
    """Score members on sets of the same size, which may be a single shared one."""
    losses, wrong, metric = list[Tensor](), list[Tensor](), config.data.metric
    with autocast(config, sets[0].device):
        for start in range(0, len(sets[0]), most):
            x, y = _between(sets, start, start + most)
            outputs = forward(x)
            if metric == "squared_error":
                losses.append((outputs.double().squeeze(2) - y.double()).square())
                continue
            losses.append(missed(log_probabilities(outputs), y).double())
            wrong.append(outputs.argmax(2) != y)
    errors = _means(torch.cat(wrong, dim=1).double()) if wrong else [(None, None)] * len(sets)
    return [Score(*loss, *error) for loss, error in zip(_means(torch.cat(losses, dim=1)), errors, strict=True)]


def _between(sets: Sequence[Examples], start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Return the examples from `start` up to `stop` of each member's set, x (K, n, *shape) and y (K, n)."""
    if all(each is sets[0] for each in sets):
        x, y = sets[0].between(start, stop)
        return x.expand(len(sets), *x.shape), y.expand(len(sets), *y.shape)
    parts = [each.between(start, stop) for each in sets]
    return torch.stack([x for x, _ in parts]), torch.stack([y for _, y in parts])


def _means(values: Tensor) -> list[tuple[float, float | None]]:
    """Return each member's mean of values (K, n) and its standard error, as `mean_and_error` does for one."""
    n, mean = values.shape[1], values.mean(1, keepdim=True)
    squares = (values - mean).square().sum(1).tolist()
    errors = [sqrt(each / (n - 1) / n) if n > 1 else None for each in squares]
    return list(zip(mean.squeeze(1).tolist(), errors, strict=True))
