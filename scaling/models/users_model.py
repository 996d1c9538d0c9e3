"""Check a user's model once a process: is it the same when it is made again, and do its layers count its parameters?"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import nn

from scaling.accounting import count
from scaling.errors import UserError, check_once
from scaling.global_streams import own_streams
from scaling.models.parts import as_evaluated
from scaling.models.passes import check_forward
from scaling.models.repeatable import Make, batch_of, check_repeatable
from scaling.models.resumable import check_resumable
from scaling.security.modules import path_of
from scaling.security.process_state import usual_process

EXAMPLES = 4  # of half a batch
PERTURBED = 0.02  # standard deviation of the perturbation of weights
ROUNDING = 0.01  # relative to the largest output: more than the rounding of TF32
SIZES = ("width", "depth")  # models that differ only in these are checked once


def check_users_model(model: Any, reads: tuple[tuple[int, ...], int], check: Callable[[], None]) -> None:
    """Check a model, once for all its sizes; raises the UserError of the check.

    reads: the shape of the model's examples and its number of outputs.
    """
    keys = {field.name: getattr(model, field.name) for field in fields(model) if field.name not in SIZES}
    check_once(f"{type(model)} {keys} {reads}", check)


def check_made(name: str, make: Make, shape: tuple[int, ...], *, seed: int) -> None:
    """Raise UserError if a module differs when it is made again, or after it was evaluated, saved and loaded."""
    check_repeatable(name, make, shape, seed=seed)
    check_resumable(name, make, shape, seed=seed)
    check_logits(name, make, shape, seed=seed)


def check_logits(name: str, make: Make, shape: tuple[int, ...], *, seed: int) -> None:
    """Raise UserError if outputs for classes are probabilities, in training or in evaluation."""
    try:
        with usual_process(), torch.no_grad(), own_streams(seed):
            module = make()
            outputs = []
            for training in (True, False):
                module.train(training)
                outputs.append(module(batch_of(shape)))
            are_shares = any((each >= 0).all() and torch.allclose(each.sum(1), torch.ones(())) for each in outputs)
    except Exception:  # it fails in training too, where it is reported
        return
    if are_shares and outputs[0].shape[1] > 1:
        raise UserError(
            f"found {name}, whose outputs are probabilities, which add up to 1; wanted logits, of which the loss takes "
            f"the softmax; take its softmax out, or return their logarithms"
        )


def check_family(model: Any, shape: tuple[int, ...], outputs: int, *, seed: int) -> None:
    """Raise UserError if a user's family builds another module each time, or `layers` counts other parameters."""
    name = path_of(type(model))
    make = partial(_built, model, shape, outputs, seed)
    with usual_process(), own_streams(seed):
        module = make()
        with torch.no_grad():
            check_forward(name, module, shape, outputs)
            with as_evaluated(module):
                check_forward(name, module, shape, outputs)
    check_made(name, make, shape, seed=seed)
    counted = count(model.layers(shape, outputs)).N_total
    held = sum(parameter.numel() for parameter in module.parameters())
    if counted != held:
        raise UserError(
            f"found {name}, whose layers count {counted:,} parameters while its module has {held:,}; wanted the same, "
            f"of which N and C are made; mend its layers"
        )


def _built(model: Any, shape: tuple[int, ...], outputs: int, seed: int) -> nn.Module:
    module: nn.Module = model.build(shape, outputs, torch.Generator().manual_seed(seed))
    return module


def mixes_examples(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Return whether outputs in training depend on the other examples of a batch, on random numbers or on past batches.

    Weights are slightly perturbed, so that an output layer that begins at zero hides nothing.
    """
    device, generator = next(module.parameters()).device, torch.Generator().manual_seed(0)
    try:
        with torch.no_grad(), own_streams(0):
            tried = deepcopy(module)
            for parameter in tried.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(device), alpha=PERTURBED)
            x = torch.randn((2 * EXAMPLES, *shape), generator=generator).to(device)
            whole, halves = tried(x), torch.cat([tried(x[:EXAMPLES]), tried(x[EXAMPLES:])])
    except Exception:  # it fails in training too, where it is reported
        return False
    return bool((whole - halves).abs().max() > ROUNDING * whole.abs().max())
