"""AdamW's fused kernel, called without the bookkeeping that torch repeats at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from scaling.internals.torch import fused_adamw, unhooked


@dataclass(frozen=True)
class Lists:
    """The parameters and the state of one group as lists, made once; all share one step counter."""

    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]


@unhooked
class FusedAdamW(torch.optim.AdamW):
    """torch's AdamW(fused=True), bit for bit; a step of a small model's twelve tensors takes 35 us instead of 75.

    If a parameter has no gradient in some step, its number of steps differs from the others', and from then on torch's
    own steps are used.
    """

    captures: ClassVar[bool] = True  # its step may be part of a CUDA graph

    def __init__(self, params: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=True)
        self._lists: list[Lists] = []
        self._alike = True  # every parameter has taken every step

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state of this class or of torch's."""
        super().load_state_dict(state_dict)
        self._separate()
        parameters = [p for group in self.param_groups for p in group["params"]]
        self._alike = len({float(self.state[p].get("step", 0)) for p in parameters}) <= 1

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; the first one, in which torch sets the state up, is torch's own."""
        if self._alike and any(p.grad is None for group in self.param_groups for p in group["params"]):
            self._alike = False
            self._separate()
        if fused_adamw is None or not self._alike:
            super().step()
            return
        if not self._lists:
            super().step()
            self._lists = [self._gather(group["params"]) for group in self.param_groups]
            return
        for group, lists in zip(self.param_groups, self._lists, strict=True):
            lists.steps[0].add_(1)
            beta1, beta2 = group["betas"]
            fused_adamw(
                lists.parameters,
                [p.grad for p in lists.parameters],
                lists.means,
                lists.squares,
                [],
                lists.steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _separate(self) -> None:
        """Count the steps of each parameter separately, as torch does."""
        for state in self.state.values():
            state["step"] = state["step"].clone()
        self._lists = []

    def _gather(self, parameters: list[Tensor]) -> Lists:
        states = [self.state[p] for p in parameters]
        for state in states:
            state["step"] = states[0]["step"]
        return Lists(parameters, *([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step")))
