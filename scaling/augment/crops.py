"""Random resized crops and flips of a whole batch: the boxes, and one bilinear sampling."""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

TRIES = 10  # boxes drawn for an image: the first that fits is used, or the whole image if none does


class Boxes(NamedTuple):
    """One box for each image, in pixels, (n,) float32 integers."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_uniform(n: int, generator: torch.Generator) -> Tensor:
    """Draw the uniform numbers for `n` boxes, (4, n, TRIES) in [0, 1)."""
    return torch.rand((4, n, TRIES), generator=generator, device=generator.device)


def boxes_at(
    uniform: Tensor, size: tuple[int, int], *, scale: tuple[float, float], ratio: tuple[float, float]
) -> Boxes:
    """Return the boxes in an image of `size` (height, width) for the numbers of `draw_uniform`.

    As Inception did (arXiv 1409.4842, section 6): the area is uniform within `scale` x the image's, the logarithm of
    width / height uniform within `ratio`, both before rounding to pixels; the position is uniform among those inside.
    """
    height, width = size
    area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform[0])
    aspect = torch.exp(log(ratio[0]) + (log(ratio[1]) - log(ratio[0])) * uniform[1])
    w, h = torch.sqrt(area * aspect).round_(), torch.sqrt(area / aspect).round_()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    any_fits = fits.any(dim=1)
    h = torch.where(any_fits, h.gather(1, first)[:, 0], height)
    w = torch.where(any_fits, w.gather(1, first)[:, 0], width)
    top, left = _place(uniform[2, :, 0], height - h), _place(uniform[3, :, 0], width - w)
    return Boxes(top, left, h, w)


def _place(uniform: Tensor, room: Tensor) -> Tensor:
    """Return whole numbers from 0 to `room`, both included."""
    return torch.minimum((uniform * (room + 1)).floor_(), room)  # the product may round up to room + 1


def resample(x: Tensor, boxes: Boxes, flipped: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Return each box of the images `x` (n, channels, height, width) at `size`, those `flipped` (n,) mirrored.

    Bilinear, with pixel centres at half-integers, reading nothing outside the box: as cropping and then resizing does.
    """
    rows = _points(boxes.top, boxes.height, side=x.shape[2], size=size[0])
    columns = _points(boxes.left, boxes.width, side=x.shape[3], size=size[1])
    if flipped is not None:
        columns = torch.where(flipped[:, None], columns.flip(1), columns)
    n, (height, width) = len(x), size
    grid = torch.stack(
        [columns[:, None, :].expand(n, height, width), rows[:, :, None].expand(n, height, width)], dim=-1
    )
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _points(start: Tensor, length: Tensor, *, side: int, size: int) -> Tensor:
    """Return where each of `size` pixels is read along a side, (n, size), in units in which the side is [-1, 1]."""
    at = (torch.arange(size, device=start.device) + 0.5) * (length / size)[:, None] - 0.5
    inside = torch.minimum(at.clamp_(min=0), length[:, None] - 1)
    return (2 * (inside + start[:, None]) + 1) / side - 1
