"""The augmentation of the reference paper: random resized crop, flip and MixUp, drawn for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable
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

    scale: share of the image's area that a crop has, from and to (null: no crop); ratio: its width / height, from
    and to; flip: probability of mirroring (0: never); mixup: a of Beta(a, a), from which one share is drawn for the
    whole batch (0: no mixing). Crop and flip need images, MixUp needs classes. Source: "Scaling MLPs", arXiv
    2306.13575.
    """

    name: ClassVar[str] = "standard"

    scale: tuple[Share, Share] | None = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: Share = 0.5
    mixup: NonNegativeFloat = 0.8

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(f"found augment.scale={list(self.scale)}; wanted 0 < from <= to <= 1; change it")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise UserError(f"found augment.ratio={list(self.ratio)}; wanted 0 < from <= to; change it")

    def check(self, data: Any) -> None:
        """Raise UserError for data that cannot be augmented so."""
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

    def build(
        self, shape: tuple[int, ...], outputs: int
    ) -> Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Any]]:
        """Return the function that augments a batch; it returns `Mixed` labels where it mixes."""
        return self.build_at(shape, outputs, None)

    def build_at(
        self, shape: tuple[int, ...], outputs: int, size: tuple[int, int] | None
    ) -> Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Any]]:
        """Return the same for a network that reads images of `size` (height, width): its crops are sampled at that."""

        def augment(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
            if self.scale is not None or self.flip:
                x = self._sampled(x, generator, size)
            return self._mixed(x, y, generator) if self.mixup else (x, y)

        return augment

    def _sampled(self, x: Tensor, generator: torch.Generator, size: tuple[int, int] | None) -> Tensor:
        import torch

        from scaling.augment.crops import draw_boxes, resample

        flipped = torch.rand(len(x), generator=generator, device=x.device) < self.flip if self.flip else None
        if self.scale is not None:
            own = (x.shape[2], x.shape[3])
            boxes = draw_boxes(len(x), own, generator, scale=self.scale, ratio=self.ratio)
            return resample(x, boxes, flipped, size or own)
        return x if flipped is None else torch.where(flipped[:, None, None, None], x.flip(3), x)

    def _mixed(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
        import torch

        from scaling.augment.mixed import Mixed
        from scaling.internals.torch import draw_beta

        share = draw_beta(self.mixup, generator)
        # The order of a batch is random already, so that a neighbour is a random partner.
        return torch.lerp(x.roll(1, 0), x, share), Mixed(y, y.roll(1, 0), share)
