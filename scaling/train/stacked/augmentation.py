"""Augment the batches of all members: each draws from its own generator, the images are sampled together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scaling.augment.build_augmentation import build_augmentation
from scaling.augment.mixed import Mixed
from scaling.augment.standard import Standard, StandardBatch
from scaling.config import RunConfig
from scaling.train.losses import Labels

# Batches x (K, n, *shape), labels y (K, n) -> the same, augmented; mixed labels have shares (K,).
StackedAugment = Callable[[Tensor, Tensor], tuple[Tensor, Labels]]


def stacked_augment(
    configs: Sequence[RunConfig], generators: Sequence[torch.Generator], size: tuple[int, int] | None = None
) -> StackedAugment | None:
    """Return the function that augments the members' batches, None for no augmentation.

    configs: the members', with augmentations of one kind that may differ in mixup; size: (height, width) of the
    network's images, if it differs from the data's.
    """
    augments = [config.augment for config in configs]
    first = augments[0]
    if type(first) is Standard:
        return _standard(first, [augment.mixup for augment in augments], generators, size)
    made = [build_augmentation(config, size) for config in configs]
    return None if made[0] is None else _one_by_one(made, generators)


def _one_by_one(made: Sequence[Callable[..., Any]], generators: Sequence[torch.Generator]) -> StackedAugment:
    """Augment member by member, for users' own augmentations."""

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Labels]:
        unmixed = torch.ones((), device=x.device)
        rows = [one(*part) for one, part in zip(made, zip(x, y, generators, strict=True), strict=True)]
        images, labels = torch.stack([image for image, _ in rows]), [label for _, label in rows]
        if any(isinstance(label, Mixed) for label in labels):  # of some members, if each draws whether to mix
            mixed = [label if isinstance(label, Mixed) else Mixed(label, label, unmixed) for label in labels]
            return images, Mixed(*(torch.stack(list(parts)) for parts in zip(*mixed, strict=True)))
        return images, torch.stack(labels)

    return augment


def _standard(
    setting: Standard, mixups: Sequence[float], generators: Sequence[torch.Generator], read: tuple[int, int] | None
) -> StackedAugment:
    """Draw the same numbers as each member trained alone, and sample all images together."""
    members = [StandardBatch(replace(setting, mixup=mixup), read) for mixup in mixups]

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Labels]:
        drawn = [member.draw(x.shape[1], one) for member, one in zip(members, generators, strict=True)]
        flips = [flip for flip, _, _ in drawn if flip is not None]
        uniforms = [uniform for _, uniform, _ in drawn if uniform is not None]
        flip, uniform = torch.cat(flips) if flips else None, torch.cat(uniforms, dim=1) if uniforms else None
        images = members[0].sampled(x.flatten(0, 1), flip, uniform).unflatten(0, x.shape[:2])
        if not any(mixups):
            return images, y
        unmixed = torch.ones((), device=x.device)
        return _mixed(images, y, torch.stack([unmixed if share is None else share for _, _, share in drawn]))

    return augment


def _mixed(x: Tensor, y: Tensor, shares: Tensor) -> tuple[Tensor, Mixed]:
    each = shares.view(-1, *[1] * (x.ndim - 1))
    return torch.lerp(x.roll(1, 1), x, each), Mixed(y, y.roll(1, 1), shares)
