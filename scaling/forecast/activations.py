"""The coordinate check: the size of activations, and their change by a few steps, for each layer.

If a tuned learning rate transfers between widths, neither depends on width (Tensor Programs V, arXiv 2203.03466,
appendix D.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scaling.global_streams import own_streams
from scaling.models.blocks import Block, Network
from scaling.models.parts import as_evaluated
from scaling.plan.planned import PlannedRun
from scaling.train.device import find_device
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.streams import derive_seed

EXAMPLES = 256  # of the validation set, whose activations are measured


@dataclass(frozen=True)
class ActivationScale:
    """The root mean square of a layer's outputs after `step` steps (size), and of their change since the start.

    Its fields are the columns of activations.csv.
    """

    family: str
    param: str
    width: int | None
    depth: int | None
    lr: float
    seed: int
    step: int
    layer: str
    size: float
    change: float


def activation_scales(run: PlannedRun, *, steps: int, device: str = "auto") -> list[ActivationScale]:
    """Train the first steps of a run, and return the scales of its layers' outputs at the start and after 1, 2, 4, ….

    Nothing is written. The layers are embed, block 1, …, head for the shipped families, otherwise all submodules with
    parameters.
    """
    where, config = find_device(device), run.config
    with own_streams(derive_seed(config.seed, "run")):
        sets = load_run_data(config, run.quantities, where)
        trainer = Trainer(run, sets.batches(run.quantities.batch), where)
        x, _ = sets.validation.between(0, min(EXAMPLES, len(sets.validation)))
        before = outputs(trainer.module, x)
        found = _scales(run, 0, before, before)
        for step in _looks(min(steps, run.quantities.steps)):
            trainer.advance(step, lambda: True)
            found += _scales(run, step, outputs(trainer.module, x), before)
    return found


def _looks(steps: int) -> list[int]:
    powers = [2**k for k in range(steps.bit_length()) if 2**k < steps]
    return [*powers, steps]


def _scales(run: PlannedRun, step: int, now: dict[str, Tensor], before: dict[str, Tensor]) -> list[ActivationScale]:
    model = run.config.model
    facts = {
        "family": model.family,
        "param": getattr(model, "param", "standard"),
        "width": getattr(model, "width", None),
        "depth": getattr(model, "depth", None),
        "lr": getattr(run.config.optim, "lr", float("nan")),
        "seed": run.config.seed,
        "step": step,
    }
    return [
        ActivationScale(**facts, layer=name, size=rms(out), change=rms(out - before[name])) for name, out in now.items()
    ]


def rms(x: Tensor) -> float:
    """Return the root mean square of a tensor."""
    return float(x.double().square().mean().sqrt())


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose outputs are measured, by name."""
    if isinstance(module, Network):
        blocks = [part for part in module.blocks if isinstance(part, Block)]
        numbered = {f"block {i}": block for i, block in enumerate(blocks, start=1)}
        return {"embed": module.embed, **numbered, "head": module.head}
    return {name: part for name, part in module.named_modules() if any(True for _ in part.parameters(recurse=False))}


@torch.no_grad()
def outputs(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the output of each layer for examples x, in evaluation mode."""
    found: dict[str, Tensor] = {}
    with _watched(module, found), as_evaluated(module):
        module(x)
    return found


@contextmanager
def _watched(module: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: Tensor) -> None:
            found[name] = out.detach().float().clone()

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in layers_of(module).items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
