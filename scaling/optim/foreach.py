"""LION, and SGD with decoupled weight decay, which torch lacks; each step works on lists of tensors.

A group's `lr` and `keep` = 1 - lr x weight decay are set before each step: numbers, or tensors () on the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from scaling.internals.torch import compiled, for_each, unhooked

add_, sub_, mul_, sign_ = for_each("add_"), for_each("sub_"), for_each("mul_"), for_each("sign_")
lerp, lerp_ = for_each("lerp"), for_each("lerp_")


@unhooked
class LionSteps(torch.optim.Optimizer):
    """LION as published: c = b1 m + (1 - b1) g; w <- w - lr (sign(c) + decay w); m <- b2 m + (1 - b2) g."""

    captures: ClassVar[bool] = True  # its step may be part of a CUDA graph
    keeps: ClassVar[bool] = True  # its groups have `keep`

    def __init__(self, params: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        kept = [{**group, "keep": 1 - lr * group["weight_decay"]} for group in params]
        super().__init__(kept, {"lr": lr, "betas": betas})

        self._move = _lion

    def compile(self) -> None:
        """Compile a group's step into one kernel; its `lr` and `keep` must then be tensors."""
        self._move = compiled(_lion)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            if parameters := _with_gradients(group):
                gradients = [p.grad for p in parameters]
                keep = group["keep"] if group["weight_decay"] else None
                self._move(
                    parameters, gradients, [self._momentum(p) for p in parameters], group["lr"], keep, group["betas"]
                )

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


@unhooked
class DecoupledSGD(torch.optim.SGD):
    """SGD with momentum whose weight decay stays out of the gradient: w <- (1 - lr decay) w, then the step."""

    captures: ClassVar[bool] = True  # its step may be part of a CUDA graph
    keeps: ClassVar[bool] = True  # its groups have `keep`

    def __init__(self, params: list[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool) -> None:
        decays = [group["weight_decay"] for group in params]
        plain = [
            {**group, "weight_decay": 0.0, "decay": decay, "keep": 1 - lr * decay}
            for group, decay in zip(params, decays, strict=True)
        ]
        super().__init__(plain, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)
        self._begun = not momentum  # every parameter has its momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            if group["decay"] and (parameters := _with_gradients(group)):
                mul_(parameters, group["keep"])
            if not self._begun:
                self._begin_late(_with_gradients(group))
        super().step()
        if not self._begun:
            self._begun = all(self._momentum(p) is not None for group in self.param_groups for p in group["params"])

    def _begin_late(self, parameters: list[Tensor]) -> None:
        """Initialise the momentum of parameters that have their first step later than others, for torch's kernel."""
        late = [p for p in parameters if self._momentum(p) is None]
        if len(late) < len(parameters):
            for p in late:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)

    def _momentum(self, parameter: Tensor) -> Tensor | None:
        return self.state[parameter].get("momentum_buffer")


def _lion(
    parameters: list[Tensor],
    gradients: list[Tensor | None],
    momenta: list[Tensor],
    lr: float | Tensor,
    keep: float | Tensor | None,
    betas: tuple[float, float],
) -> None:
    """Update parameters and momenta; keep: the factor by which weights are first multiplied, None for 1."""
    direction = lerp(momenta, gradients, 1 - betas[0])
    sign_(direction)
    if keep is not None:
        mul_(parameters, keep)
    _subtract_signs(parameters, direction, lr)
    lerp_(momenta, gradients, 1 - betas[1])


def _subtract_signs(parameters: list[Tensor], signs: list[Tensor], lr: float | Tensor) -> None:
    """Move parameters by `lr` against signs (-1, 0 or 1), which may be overwritten; either way rounds only once."""
    if isinstance(lr, Tensor):
        mul_(signs, lr)
        sub_(parameters, signs)
    else:
        add_(parameters, signs, alpha=-lr)


def _with_gradients(group: dict[str, Any]) -> list[Tensor]:
    """Return the parameters that have gradients; the others are not changed."""
    return [p for p in group["params"] if p.grad is not None]
