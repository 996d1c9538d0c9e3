"""The steps of AdamW, LION and SGD for all members at once, each with its own learning rate, decay and betas.

Parameters, gradients and moments are tensors (K, width), see rows.py; settings that differ between members are columns
(K, 1). The formulas are those of scaling/optim, so that a member differs from the run trained alone only by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from scaling.internals.torch import fused_adamw
from scaling.optim.adamw import AdamW
from scaling.optim.lion import Lion
from scaling.optim.sgd import SGD
from scaling.train.stacked.rows import Layout


class StackedOptimiser:
    """The optimiser of a stack; subclasses define the moments and the formula.

    moments: names of the moments in torch's state of a parameter; here each is a tensor (K, width).
    """

    moments: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[bool] = False  # whether torch's state of a parameter has its number of steps

    def __init__(self, layout: Layout, optims: Sequence[Any], like: Tensor) -> None:
        self.layout, self.optims = layout, list(optims)
        self.state = {name: torch.zeros_like(like) for name in self.moments}
        self._make_columns(like)

    def _make_columns(self, like: Tensor) -> None:
        """Compute what depends on the members but not on the step, and allocate memory for intermediate results."""
        self.decays = any(optim.weight_decay for optim in self.optims)
        self.scratch = torch.zeros_like(like), torch.empty_like(like)

    def column(self, like: Tensor, *values: float) -> Tensor:
        """Return one number for each member as (K, 1)."""
        return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)

    def select(self, kept: Tensor, like: Tensor) -> None:
        """Keep the members at `kept` (k,) int64; like: their parameters."""
        self.optims = [self.optims[row] for row in kept.tolist()]
        self.state = {name: value.index_select(0, kept) for name, value in self.state.items()}
        self._make_columns(like)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of a step's factors, one value a member: the learning rate and each group's factor of decay."""
        return ("rate", *(f"kept {i}" for i, group in enumerate(self.layout.groups) if self.decays and group.decay))

    @property
    def changed(self) -> list[Tensor]:
        """What a step changes."""
        return list(self.state.values())

    def table(self, rates: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Return the factors of the next S steps, (S, T, K) float32 for T `names`.

        rates (S, K): learning rates; taken (K,): number of steps before them.
        """
        found = self._tables(rates, taken)
        return np.stack([found[name] for name in self.names], axis=1).astype(np.float32)

    def _tables(self, rates: np.ndarray, taken: np.ndarray) -> dict[str, np.ndarray]:
        decays = np.array([optim.weight_decay for optim in self.optims])
        groups = enumerate(self.layout.groups)
        return {"rate": rates, **{f"kept {i}": 1 - rates * (group.share * group.decay) * decays for i, group in groups}}

    def step(self, parameters: Tensor, gradients: Tensor, factors: Tensor) -> None:
        """Take a step; gradients (K, width) may be overwritten; factors (T, K, 1): the step's part of `table`."""
        named = dict(zip(self.names, factors, strict=True))
        for i, group in enumerate(self.layout.groups):
            if f"kept {i}" in named:
                parameters[:, group.start : group.stop].mul_(named[f"kept {i}"])
        self._update(parameters, gradients, named)

    def _update(self, parameters: Tensor, gradients: Tensor, factors: Mapping[str, Tensor]) -> None:
        raise TypeError(f"{type(self).__name__} takes no step")

    def _descend(self, parameters: Tensor, direction: Tensor, rate: Tensor) -> None:
        """Subtract rate x share x direction; direction is overwritten."""
        direction.mul_(rate)
        for group in self.layout.groups:
            if group.share != 1.0:
                direction[:, group.start : group.stop].mul_(group.share)
        parameters.sub_(direction)


class StackedAdamW(StackedOptimiser):
    """AdamW as in scaling/optim/adamw.py: m, v with bias correction, and decoupled weight decay.

    Members with the same betas, eps and number of steps share torch's fused kernel: it computes an update from zeros at
    learning rate 1, which is added to the parameters times each member's learning rate.
    """

    moments = ("exp_avg", "exp_avg_sq")
    counts = True

    def _make_columns(self, like: Tensor) -> None:
        super()._make_columns(like)
        self.new1 = self.column(like, *(1 - optim.beta1 for optim in self.optims))
        self.new2 = self.column(like, *(1 - optim.beta2 for optim in self.optims))
        self.eps = self.column(like, *(optim.eps for optim in self.optims))
        self.alike: bool | None = None  # whether all members share betas, eps and steps; unknown before the first table
        self.taken = torch.zeros((), device=like.device)  # number of steps, if the members are alike

    @property
    def names(self) -> tuple[str, ...]:
        """The names of a step's factors; scale: the factor of the root of v, if the members are not alike."""
        return super().names if self.alike else (*super().names, "scale")

    @property
    def changed(self) -> list[Tensor]:
        """What a step changes."""
        return [*super().changed, self.taken]

    def _tables(self, rates: np.ndarray, taken: np.ndarray) -> dict[str, np.ndarray]:
        if self.alike is None:
            settings = {
                (optim.beta1, optim.beta2, optim.eps, int(t)) for optim, t in zip(self.optims, taken, strict=True)
            }
            self.alike = fused_adamw is not None and len(settings) == 1
            self.taken.fill_(float(taken[0]))
        if self.alike:
            return super()._tables(rates, taken)
        t = taken + np.arange(1, len(rates) + 1)[:, None]
        correction1, correction2 = (
            1 - np.array([getattr(optim, beta) for optim in self.optims]) ** t for beta in ("beta1", "beta2")
        )
        return {**super()._tables(rates, taken), "rate": rates / correction1, "scale": correction2**-0.5}

    def _update(self, parameters: Tensor, gradients: Tensor, factors: Mapping[str, Tensor]) -> None:
        mean, square = self.state["exp_avg"], self.state["exp_avg_sq"]
        direction, squared = self.scratch
        if self.alike:
            self._update_alike(gradients, direction)
            if all(group.share == 1.0 for group in self.layout.groups):
                parameters.addcmul_(direction, factors["rate"])
                return
            for group in self.layout.groups:
                span = slice(group.start, group.stop)
                parameters[:, span].addcmul_(direction[:, span], factors["rate"], value=group.share)
            return
        mean.lerp_(gradients, self.new1)
        square.lerp_(torch.mul(gradients, gradients, out=squared), self.new2)
        torch.sqrt(square, out=direction).mul_(factors["scale"]).add_(self.eps)
        self._descend(parameters, torch.div(mean, direction, out=direction), factors["rate"])

    def _update_alike(self, gradients: Tensor, direction: Tensor) -> None:
        """Write the update at learning rate 1 into `direction`; a weight decay of 1 removes its previous value."""
        assert fused_adamw is not None, "members are not alike without it"
        optim, moments = self.optims[0], [[self.state[name]] for name in self.moments]
        self.taken.add_(1)
        settings = {"beta1": optim.beta1, "beta2": optim.beta2, "eps": optim.eps, "lr": 1.0, "weight_decay": 1.0}
        fused_adamw([direction], [gradients], *moments, [], [self.taken], **settings, amsgrad=False, maximize=False)


class StackedLion(StackedOptimiser):
    """LION as in scaling/optim/foreach.py."""

    moments = ("momentum",)

    def _make_columns(self, like: Tensor) -> None:
        super()._make_columns(like)
        self.new1 = self.column(like, *(1 - optim.beta1 for optim in self.optims))
        self.new2 = self.column(like, *(1 - optim.beta2 for optim in self.optims))

    def _update(self, parameters: Tensor, gradients: Tensor, factors: Mapping[str, Tensor]) -> None:
        momentum, direction = self.state["momentum"], self.scratch[0]
        torch.lerp(momentum, gradients, self.new1, out=direction).sign_()
        momentum.lerp_(gradients, self.new2)
        self._descend(parameters, direction, factors["rate"])


class StackedSGD(StackedOptimiser):
    """SGD with momentum and decoupled weight decay, as in scaling/optim/foreach.py."""

    moments = ("momentum_buffer",)

    def _update(self, parameters: Tensor, gradients: Tensor, factors: Mapping[str, Tensor]) -> None:
        optim = self.optims[0]  # momentum and nesterov are the same for all
        if optim.momentum:
            buffer = self.state["momentum_buffer"].mul_(optim.momentum).add_(gradients)
            if optim.nesterov:
                gradients.add_(buffer, alpha=optim.momentum)
            else:
                gradients.copy_(buffer)
        self._descend(parameters, gradients, factors["rate"])


STACKED: dict[type, type[StackedOptimiser]] = {AdamW: StackedAdamW, Lion: StackedLion, SGD: StackedSGD}
