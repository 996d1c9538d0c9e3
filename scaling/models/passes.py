"""Passes of a module over zero batches: its FLOPs by torch's own counter, and the order in which its layers run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.errors import UserError, place_of
from scaling.global_streams import own_streams
from scaling.internals.torch import ForwardTracker, skip_dynamo_import_in_counter, version_of
from scaling.models.parts import as_evaluated, with_matrices

BACKWARD = "(backward)"  # key of the whole backward pass among the FLOPs by submodule
BATCH = 2  # examples used for counting: the fewest that a batch norm accepts
VARIED, TRIES = 32, 48  # random examples at a time, and how often, to find parameters that only some examples use
PERTURBED = (0.02, 0.1, 0.5)  # standard deviations of the perturbations of weights, in turn


class Countable(Protocol):
    """A model that can be made and run."""

    @property
    def module(self) -> str:
        """Import path of the torch module."""

    @property
    def embed(self) -> str | None:
        """Name of the first layer, None to find it."""

    @property
    def head(self) -> str | None:
        """Name of the last layer, None to find it."""

    def make(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Make the module for examples of a shape (without the batch)."""


@dataclass(frozen=True)
class Passes:
    """What passes over batches showed.

    flops: of one example, forward by submodule ("" is the whole module), and BACKWARD; per_pass: of a forward pass in
    addition, whatever its batch, for weights that are made of others; entered, left: the submodules with matrices, in
    the order in which they were first called and last returned; idle: the trained parameters that the outputs did not
    depend on.
    """

    flops: Mapping[str, int]
    per_pass: int
    entered: tuple[str, ...]
    left: tuple[str, ...]
    idle: tuple[str, ...]


def run_passes(model: Countable, shape: tuple[int, ...], outputs: int) -> tuple[nn.Module, Passes]:
    """Make a module and run it, if possible on the meta device."""
    try:
        return _run_on(model, shape, outputs, "meta")
    except UserError:
        raise
    except (Exception, SystemExit):
        try:  # a module that fails on the meta device may run on the CPU; if not, that error is reported
            return _run_on(model, shape, outputs, "cpu")
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"found {model.module}, which fails on a batch of shape {(BATCH, *shape)} at "
                f"{place_of(error, library=Path(torch.__file__).parent)} "
                f"({type(error).__name__}: {error}); wanted outputs of shape {(BATCH, outputs)}; mend it"
            ) from error


def _run_on(model: Countable, shape: tuple[int, ...], outputs: int, device: str) -> tuple[nn.Module, Passes]:
    skip_dynamo_import_in_counter()
    with own_streams(0), torch.device(device):
        module = model.make(shape, outputs)
        _check_trainable(model.module, module)
        passes = _passes(model, module, shape, outputs)
        if passes.idle:  # it may skip parts at random in training, but not in evaluation
            module.eval()
            passes = _passes(model, module, shape, outputs)
        if passes.idle and device == "cpu":  # where which layers run may depend on the numbers
            passes = replace(passes, idle=_never_used(model, module, shape))
        with as_evaluated(module), torch.no_grad():
            check_forward(model.module, module, shape, outputs)
    if passes.idle:
        raise UserError(
            f"found {model.module} with parameters that its output does not depend on ({', '.join(passes.idle[:3])}); "
            f"wanted none; take them out, or freeze them with requires_grad_(False)"
        )
    return module, passes


def _check_trainable(name: str, module: nn.Module) -> None:
    """Raise UserError if nothing is trained, weights are complex, or layers are kept where torch does not find them."""
    if hidden := sorted(_unregistered(module)):
        raise UserError(
            f"found {name} with weights that torch does not find, and so does not train ({', '.join(hidden)}); wanted "
            f"layers in a torch.nn.ModuleList or ModuleDict, tensors as torch.nn.Parameter; change it, or freeze them "
            f"with requires_grad_(False)"
        )
    if waves := [key for key, parameter in module.named_parameters() if parameter.is_complex()]:
        raise UserError(
            f"found {name} with complex parameters ({', '.join(waves[:3])}), each of whose numbers N and C would count "
            f"as one; wanted real ones; make them of shape (…, 2) and compute with torch.view_as_complex"
        )
    if {parameter.requires_grad for parameter in module.parameters()} == {False}:
        raise UserError(f"found {name}, all frozen; wanted something to train; leave a layer trainable")


def _unregistered(module: nn.Module) -> Iterator[str]:
    """Yield the names of attributes with trainable tensors that are no parameters of the module."""
    held = set(module.parameters())
    for prefix, part in module.named_modules():
        for key, value in vars(part).items():
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            found = [p for item in items for p in (item.parameters() if isinstance(item, nn.Module) else [item])]
            if any(isinstance(p, Tensor) and p.requires_grad and p.is_leaf and p not in held for p in found):
                yield f"{prefix}.{key}" if prefix else key


def _passes(model: Countable, module: nn.Module, shape: tuple[int, ...], outputs: int) -> Passes:
    """Run batches of BATCH examples, of twice and, if FLOPs are not proportional to them, four times as many."""
    with _called(module) as calls:
        one = _flops(model, module, shape, outputs)
    idle = _without_gradient(module)
    two = _flops(model, module, shape, outputs, batch=2 * BATCH)
    each, per_pass = {name: found // BATCH for name, found in one.items()}, 0
    rise = two[""] - one[""]
    if one[""] > rise > 0 and _flops(model, module, shape, outputs, batch=4 * BATCH)[""] - two[""] == 2 * rise:
        each = {name: (two.get(name, 0) - found) // BATCH for name, found in one.items()}
        per_pass = one[""] - rise
    return Passes(each, per_pass, tuple(calls.entered), tuple(calls.left), idle)


def _without_gradient(module: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, part in module.named_parameters() if part.requires_grad and part.grad is None)


def _never_used(model: Countable, module: nn.Module, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the parameters that no batch of varied examples gives a gradient, as those of an expert that none chose.

    The weights are changed: a router may begin at zero, or prefer some experts by its weights.
    """
    module.zero_grad()
    begun = [(parameter, parameter.detach().clone()) for parameter in module.parameters()]
    for i in range(TRIES):
        with torch.no_grad():
            for parameter, first in begun:
                parameter.copy_(first).add_(torch.randn_like(parameter), alpha=PERTURBED[i % len(PERTURBED)])
        _forward(model.module, module, torch.randn(VARIED, *shape)).sum().backward()
        if not (idle := _without_gradient(module)):
            break
    return idle


@dataclass(frozen=True)
class Calls:
    """Names of submodules, in the order in which they were first called and last returned."""

    entered: dict[str, None] = field(default_factory=dict)
    left: dict[str, None] = field(default_factory=dict)


@contextmanager
def _called(module: nn.Module) -> Iterator[Calls]:
    """Record the calls of submodules with matrices."""
    calls = Calls()

    def watch(name: str, part: nn.Module) -> Iterator[Any]:
        def enter(*_: Any) -> None:
            calls.entered.setdefault(name)

        def leave(*_: Any) -> None:
            calls.left.pop(name, None)
            calls.left[name] = None

        yield part.register_forward_pre_hook(enter)
        yield part.register_forward_hook(leave)

    hooks = [hook for name, part in with_matrices(module).items() for hook in watch(name, part)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _flops(
    model: Countable, module: nn.Module, shape: tuple[int, ...], outputs: int, batch: int = BATCH
) -> Mapping[str, int]:
    """Run one batch forward and backward, and return its FLOPs."""
    module.zero_grad()
    forward, backward = FlopCounterMode(display=False), FlopCounterMode(display=False)
    forward.mod_tracker = ForwardTracker()
    with forward:
        found = check_forward(model.module, module, shape, outputs, batch=batch)
    if not found.requires_grad:
        raise UserError(
            f"found {model.module}, whose outputs have no gradient; wanted outputs that depend on trained parameters; "
            f"take out detach() and torch.no_grad(), or add a trainable layer"
        )
    with backward:
        found.sum().backward()
    # Names begin with the class of the root; the root itself has no name below it.
    flops = {name.partition(".")[2]: sum(ops.values()) for name, ops in forward.get_flop_counts().items()}
    return {**flops, "": forward.get_total_flops(), BACKWARD: backward.get_total_flops()}


def check_forward(name: str, module: nn.Module, shape: tuple[int, ...], outputs: int, *, batch: int = BATCH) -> Tensor:
    """Run one batch forward and return its outputs; UserError if they have the wrong shape, or the batch changes."""
    found = _forward(name, module, torch.zeros(batch, *shape))
    if not isinstance(found, Tensor) or found.shape != (batch, outputs):
        shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        when = "" if module.training else " in evaluation"
        raise UserError(
            f"found {name}, which gives {shown} for {batch} examples{when}; wanted {(batch, outputs)}, one "
            f"number a class; change its last layer"
        )
    return found


def _forward(name: str, module: nn.Module, x: Tensor) -> Any:
    """Run a batch forward; UserError if that changes the batch, since examples are shared and reused."""
    version = version_of(x)
    found = module(x)
    if version_of(x) != version:
        raise UserError(
            f"found {name}, which changes its input in place, and so the data of later evaluations and runs; "
            f"wanted the input unchanged; begin its forward with x = x.clone(), or compute without in-place operations"
        )
    return found
