"""The step of `train.engine=compile`: torch.compile fuses normalisation, augmentation, forward pass and loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from scaling.internals.torch import compiled
from scaling.train.feed.normalisation import Normalisation
from scaling.train.losses import Labels

Loss = Callable[[Tensor, Labels], Tensor]
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Any]]


@runtime_checkable
class TwoPart(Protocol):
    """An augmentation in two parts: drawing its random numbers, which torch.compile cannot, and applying them."""

    def draw(self, n: int, generator: torch.Generator) -> Any:
        """Draw the random numbers for `n` examples."""

    def apply(self, x: Tensor, y: Tensor, drawn: Any) -> tuple[Tensor, Labels]:
        """Augment a batch by the drawn numbers."""


class Nothing:
    """The identity as an augmentation in two parts."""

    def draw(self, n: int, generator: torch.Generator) -> tuple[()]:
        """Draw nothing."""
        return ()

    def apply(self, x: Tensor, y: Tensor, drawn: tuple[()]) -> tuple[Tensor, Labels]:
        """Return the batch unchanged."""
        return x, y


def compiled_parts(
    loss: Loss, augment: Augment | None, scale: Normalisation | None, *, whole: bool
) -> tuple[Augment, Callable[[Tensor, Any], Tensor]]:
    """Return the augmentation and the compiled loss of a step that reads examples as stored.

    An augmentation in two parts is compiled as well, others are not. whole: a batch passes through the model at once,
    and augmentation and loss are fused; otherwise it is normalised and augmented as a whole, and then split.
    """
    parts: Any = Nothing() if augment is None else augment
    if not isinstance(parts, TwoPart):
        plain: Augment = parts if scale is None else lambda x, y, generator: parts(scale(x), y, generator)
        return plain, compiled(loss)

    def prepared(x: Tensor, y: Tensor, drawn: Any) -> tuple[Tensor, Labels]:
        return parts.apply(x if scale is None else scale(x), y, drawn)

    def from_stored(x: Tensor, labels: tuple[Tensor, Any]) -> Tensor:
        return loss(*prepared(x, *labels))

    def drawing(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
        return x, (y, parts.draw(len(x), generator))

    if whole:
        return drawing, compiled(from_stored)
    front = compiled(prepared)

    def preparing(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Any]:
        return front(x, y, parts.draw(len(x), generator))

    return preparing, compiled(loss)
