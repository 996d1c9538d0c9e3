"""The augmentation of the reference paper: random resized crop, flip and MixUp, drawn for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import NonNegativeFloat

from scaling.config import Share
from scaling.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Standard:
    """Random resized crop, horizontal flip and MixUp (arXiv 1710.09412) on the device, for a whole batch at once.

    Crop and flip need images, MixUp needs classes. Source: "Scaling MLPs", arXiv 2306.13575.
    """

    name: ClassVar[str] = "standard"

    scale: tuple[Share, Share] | None = (0.08, 1.0)
    """Least and largest share of the image's area in a crop; null: no crop."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Least and largest width / height of a crop."""
    flip: Share = 0.5
    """Probability of mirroring; 0: never."""
    mixup: NonNegativeFloat = 0.8
    """a of Beta(a, a), from which one share is drawn for the whole batch; 0: no mixing."""

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(f"found augment.scale={list(self.scale)}; wanted 0 < from <= to <= 1; change it")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise UserError(f"found augment.ratio={list(self.ratio)}; wanted 0 < from <= to; change it")

    def check(self, data: Any) -> None:
        """Raise UserError for data that cannot be augmented in this way."""
        if (self.scale is not None or self.flip) and len(data.shape) != 3:
            raise UserError(
                f"found augment=standard with data={data.name}, whose examples of shape {tuple(data.shape)} are no "
                f"images to crop or flip; wanted images; set augment.scale=null augment.flip=0, or augment=none"
            )
        if self.mixup and data.metric != "cross_entropy":
            raise UserError(
                f"found augment.mixup={self.mixup:g} with data={data.name}, a regression; wanted classes to mix; "
                f"set augment.mixup=0"
            )

    def build(self, shape: tuple[int, ...], outputs: int) -> StandardBatch:
        """Return the function that augments a batch; with MixUp it returns `Mixed` labels."""
        return self.build_at(shape, outputs, None)

    def build_at(self, shape: tuple[int, ...], outputs: int, size: tuple[int, int] | None) -> StandardBatch:
        """Return the same with crops of `size` (height, width), the size that the network reads."""
        return StandardBatch(self, size)


@dataclass(frozen=True)
class StandardBatch:
    """Augments batches in two parts, drawing numbers and applying them; size: (height, width) of the crops."""

    setting: Standard
    size: tuple[int, int] | None = None

    def __call__(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
        """Draw and apply."""
        return self.apply(x, y, self.draw(len(x), generator))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Draw for `n` examples whether to mirror (n,), the numbers for boxes (4, n, TRIES), and the share of the
        first image (); None for parts that are off."""
        import torch

        from scaling.augment.crops import draw_uniform
        from scaling.internals.torch import draw_beta

        flip = torch.rand(n, generator=generator, device=generator.device) if self.setting.flip else None
        uniform = draw_uniform(n, generator) if self.setting.scale is not None else None
        return flip, uniform, draw_beta(self.setting.mixup, generator) if self.setting.mixup else None

    def apply(
        self, x: Tensor, y: Tensor, drawn: tuple[Tensor | None, Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Any]:
        """Augment a batch x (n, *shape), y (n,) by the drawn numbers."""
        flip, uniform, share = drawn
        x = self.sampled(x, flip, uniform)
        return (x, y) if share is None else _mixed(x, y, share)

    def sampled(self, x: Tensor, flip: Tensor | None, uniform: Tensor | None) -> Tensor:
        """Crop and mirror images x (n, channels, height, width)."""
        import torch

        from scaling.augment.crops import boxes_at, resample

        flipped = None if flip is None else flip < self.setting.flip
        if uniform is not None and self.setting.scale is not None:
            present = (x.shape[2], x.shape[3])
            boxes = boxes_at(uniform, present, scale=self.setting.scale, ratio=self.setting.ratio)
            return resample(x, boxes, flipped, self.size or present)
        return x if flipped is None else torch.where(flipped[:, None, None, None], x.flip(3), x)


def _mixed(x: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Any]:
    import torch

    from scaling.augment.mixed import Mixed

    # The order of a batch is random already, so that a neighbour is a random partner.
    return torch.lerp(x.roll(1, 0), x, share), Mixed(y, y.roll(1, 0), share)
