"""LION, and SGD with decoupled weight decay, which torch lacks; each step is taken on lists of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from scaling.internals.torch import for_each, unhooked

add_, mul_, sign_ = for_each("add_"), for_each("mul_"), for_each("sign_")
lerp, lerp_ = for_each("lerp"), for_each("lerp_")


@unhooked
class LionSteps(torch.optim.Optimizer):
    """LION as published: c = b1 m + (1 - b1) g; w <- w - lr (sign(c) + decay w); m <- b2 m + (1 - b2) g."""

    def __init__(self, params: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            parameters = _with_gradients(group)
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            momenta = [self._momentum(p) for p in parameters]
            lr, (beta1, beta2) = group["lr"], group["betas"]
            direction = lerp(momenta, gradients, 1 - beta1)
            sign_(direction)
            if group["weight_decay"]:
                mul_(parameters, 1 - lr * group["weight_decay"])
            add_(parameters, direction, alpha=-lr)
            lerp_(momenta, gradients, 1 - beta2)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


@unhooked
class DecoupledSGD(torch.optim.SGD):
    """SGD with momentum whose weight decay stays out of the gradient: w <- (1 - lr decay) w, then the step."""

    def __init__(self, params: list[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool) -> None:
        decays = [group["weight_decay"] for group in params]
        plain = [{**group, "weight_decay": 0.0, "decay": decay} for group, decay in zip(params, decays, strict=True)]
        super().__init__(plain, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)
        self._begun = not momentum  # every parameter has its momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            if group["decay"] and (parameters := _with_gradients(group)):
                mul_(parameters, 1 - group["lr"] * group["decay"])
            if not self._begun:
                self._begin_late(_with_gradients(group))
        super().step()
        if not self._begun:
            self._begun = all(self._momentum(p) is not None for group in self.param_groups for p in group["params"])

    def _begin_late(self, parameters: list[Tensor]) -> None:
        """Give parameters that move for the first time, later than others, the momentum that torch's kernel wants."""
        late = [p for p in parameters if self._momentum(p) is None]
        if len(late) < len(parameters):
            for p in late:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)

    def _momentum(self, parameter: Tensor) -> Tensor | None:
        return self.state[parameter].get("momentum_buffer")


def _with_gradients(group: dict[str, Any]) -> list[Tensor]:
    """Return the parameters that this step changes: one that the loss did not depend on stays as it is."""
    return [p for p in group["params"] if p.grad is not None]
