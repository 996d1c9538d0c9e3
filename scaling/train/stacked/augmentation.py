"""Augmentation of the batches of many members: each draws from its own generator, the images are sampled at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from scaling.augment.crops import boxes_at, draw_uniform, resample
from scaling.augment.mixed import Mixed
from scaling.augment.standard import Standard
from scaling.config import RunConfig
from scaling.internals.torch import draw_beta
from scaling.train.loop import augmentation
from scaling.train.losses import Labels

# Batches x (K, n, *shape), labels y (K, n) -> the same, augmented; mixed labels have shares (K,).
StackedAugment = Callable[[Tensor, Tensor], tuple[Tensor, Labels]]


def stacked_augment(
    configs: Sequence[RunConfig], generators: Sequence[torch.Generator], size: tuple[int, int] | None = None
) -> StackedAugment | None:
    """Return what augments the members' batches, None where nothing is changed.

    configs: of the members, whose augmentations are of one kind and may differ in mixup; size: (height, width) that
    the network reads, where the data's images have another.
    """
    augments = [config.augment for config in configs]
    first = augments[0]
    if type(first) is Standard:
        return _standard(first, [augment.mixup for augment in augments], generators, size)
    made = [augmentation(config, size) for config in configs]
    return None if made[0] is None else _one_by_one(made, generators)


def _one_by_one(made: Sequence[Callable[..., Any]], generators: Sequence[torch.Generator]) -> StackedAugment:
    """Augment member by member, for augmentations of users."""

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Labels]:
        rows = [one(*part) for one, part in zip(made, zip(x, y, generators, strict=True), strict=True)]
        images, labels = torch.stack([image for image, _ in rows]), [label for _, label in rows]
        if isinstance(labels[0], Mixed):
            return images, Mixed(*(torch.stack(list(parts)) for parts in zip(*labels, strict=True)))
        return images, torch.stack(labels)

    return augment


def _standard(
    setting: Standard, mixups: Sequence[float], generators: Sequence[torch.Generator], read: tuple[int, int] | None
) -> StackedAugment:
    """Do what scaling/augment/standard.py does, with the same numbers drawn in the same order."""

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Labels]:
        drawn = [_draw(setting, mixup, x.shape[1], one) for mixup, one in zip(mixups, generators, strict=True)]
        flips, uniforms, shares = ([part for part in parts if part is not None] for parts in zip(*drawn, strict=True))
        images = x.flatten(0, 1)
        flipped = torch.cat(flips) < setting.flip if flips else None
        if uniforms and setting.scale is not None:
            size = (images.shape[2], images.shape[3])
            boxes = boxes_at(torch.cat(uniforms, dim=1), size, scale=setting.scale, ratio=setting.ratio)
            images = resample(images, boxes, flipped, read or size)
        elif flipped is not None:
            images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        images = images.unflatten(0, x.shape[:2])
        return _mixed(images, y, torch.stack(shares)) if any(mixups) else (images, y)

    return augment


def _draw(
    setting: Standard, mixup: float, n: int, generator: torch.Generator
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Draw for one member: whether to mirror (n,), what boxes are made of (4, n, TRIES), the share of the first ()."""
    flip = torch.rand(n, generator=generator, device=generator.device) if setting.flip else None
    uniform = draw_uniform(n, generator) if setting.scale is not None else None
    share = draw_beta(mixup, generator) if mixup else torch.ones((), device=generator.device)
    return flip, uniform, share


def _mixed(x: Tensor, y: Tensor, shares: Tensor) -> tuple[Tensor, Mixed]:
    each = shares.view(-1, *[1] * (x.ndim - 1))
    return torch.lerp(x.roll(1, 1), x, each), Mixed(y, y.roll(1, 1), shares)
