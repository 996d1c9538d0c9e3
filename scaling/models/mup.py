"""The maximal update parametrisation: the size of activations and of their changes does not depend on width.

Tensor Programs V (Yang et al. 2022, arXiv 2203.03466, tables 3 and 8) for width, CompleteP (Dey et al. 2025, arXiv
2505.01618, alpha = 1) for depth. With r = width / base width, the learning rate of a weight is the run's times

| | AdamW, LION | SGD |
|---|---|---|
| embedding | 1 | r |
| weights of blocks | 1 / r | 1 |
| weights of the head | 1 / r | 1 / r |
| biases, gains and shifts of width r | 1 | r |
| bias of the head | 1 | 1 |

Dense layers are initialised within ± 1 / sqrt(inputs) as usual; a head that does not start at zero is divided by
sqrt(r). The branch of a block with a skip is multiplied by base depth / depth. Weight decay is divided by the factor of
the learning rate, so that its effect per step stays. At the base width and depth it equals the standard one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from scaling.models.blocks import Block, Network


@dataclass(frozen=True)
class RateShares:
    """Factors of the run's learning rate for a layer's weight matrix and its vectors."""

    matrix: float
    vector: float


@dataclass(frozen=True)
class LayerRates:
    """The factors of a layer for AdamW and LION (adam), whose steps do not depend on the gradient's size, and SGD."""

    adam: RateShares
    sgd: RateShares


def parametrise(network: Network, width_ratio: float, depth_ratio: float) -> None:
    """Scale a network's initialisation and branches, and note the learning rate factors of its layers."""
    r = width_ratio
    for part in network.modules():
        if next(part.parameters(recurse=False), None) is not None:
            note(part, LayerRates(RateShares(1 / r, 1.0), RateShares(1.0, r)))
        if isinstance(part, Block) and part.skip:
            part.scale = 1 / depth_ratio
    note(network.embed, LayerRates(RateShares(1.0, 1.0), RateShares(r, r)))
    note(network.head, LayerRates(RateShares(1 / r, 1.0), RateShares(1 / r, 1.0)))
    with torch.no_grad():
        network.head.weight.mul_(r**-0.5)


def note(part: nn.Module, rates: LayerRates) -> None:
    """Note the learning rate factors of a layer on it."""
    part.__dict__["rates"] = rates  # setattr is for tensors and modules


def rate_shares(module: nn.Module, *, sgd: bool) -> dict[nn.Parameter, float]:
    """Return the learning rate factor of each parameter, 1 for layers without one."""
    found: dict[nn.Parameter, float] = {}
    for part in module.modules():
        rates: LayerRates | None = getattr(part, "rates", None)
        for parameter in part.parameters(recurse=False):
            shares = None if rates is None else rates.sgd if sgd else rates.adam
            found[parameter] = 1.0 if shares is None else shares.matrix if parameter.ndim >= 2 else shares.vector
    return found
