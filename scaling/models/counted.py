"""Count any torch module: its parameters by kind, and the FLOPs of one batch by torch's own counter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.accounting import FLOPS_PER_MULTIPLY_ADD, Layer, Role, count
from scaling.errors import UserError, place_of
from scaling.global_streams import kept_streams
from scaling.internals.torch import skip_dynamo_import_in_counter, version_of
from scaling.models.parts import as_evaluated, is_matrix, with_matrices

BACKWARD = "(backward)"  # key of the whole backward pass among the FLOPs by submodule
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH = 2  # examples used for counting: the fewest that a batch norm accepts


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


def count_layers(model: Countable, shape: tuple[int, ...], outputs: int) -> list[Layer]:
    """Run one batch forward and backward, if possible on the meta device, and return the layers.

    Parameters with two or more dimensions are weights. The FLOPs of a submodule are attributed to its weights as their
    `uses`; the rest (products without weights) is a layer without weights. The sum is exact.
    """
    module, flops = _measured(model, shape, outputs)
    parts = with_matrices(module)
    used = [name for name, part in parts.items() if _own_flops(flops, name, part)]
    names = used or list(parts)
    embed, head = _ends(model, module, names)
    layers, seen, attributed = [], set[nn.Parameter](), 0
    for name, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if p not in seen]  # tied weights are counted once
        seen.update(own)
        weights = sum(p.numel() for p in own if is_matrix(p))
        others = sum(p.numel() for p in own if not is_matrix(p))
        if not weights and not others:
            continue
        uses = _own_flops(flops, name, part) // (FLOPS_PER_MULTIPLY_ADD * BATCH * weights) if weights else 0
        role: Role = "embed" if _within(name, embed) else "head" if _within(name, head) else "body"
        first = bool(weights) and name == next((n for n in names if _within(n, embed)), names[0])
        maps = uses * part.out_channels if isinstance(part, CONVOLUTIONS) else 0
        layers.append(Layer(weights=weights, others=others, role=role, uses=uses, first=first, maps=maps))
        attributed += FLOPS_PER_MULTIPLY_ADD * weights * uses
    rest = Layer(weights=0, flops=flops[""] // BATCH - attributed)
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    if not frozen:
        return [*layers, rest]
    unneeded = count([*layers, rest]).backward_flops - flops[BACKWARD] // BATCH
    return [*layers, replace(rest, frozen=frozen, unneeded=unneeded)]


def _measured(model: Countable, shape: tuple[int, ...], outputs: int) -> tuple[nn.Module, Mapping[str, int]]:
    """Return the module and the FLOPs of a batch: forward by submodule ("" is the whole module), and BACKWARD."""
    try:
        return _one_batch(model, shape, outputs, "meta")
    except UserError:
        raise
    except (Exception, SystemExit):
        try:  # a module that fails on the meta device may run on the CPU; if not, that error is reported
            return _one_batch(model, shape, outputs, "cpu")
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"found {model.module}, which fails on a batch of shape {(BATCH, *shape)} at "
                f"{place_of(error, library=Path(torch.__file__).parent)} "
                f"({type(error).__name__}: {error}); wanted outputs of shape {(BATCH, outputs)}; mend it"
            ) from error


def _one_batch(
    model: Countable, shape: tuple[int, ...], outputs: int, device: str
) -> tuple[nn.Module, Mapping[str, int]]:
    skip_dynamo_import_in_counter()
    with kept_streams(), torch.device(device):
        module = model.make(shape, outputs)
        _check_trainable(model.module, module)
        flops = _pass(model, module, shape, outputs)
        if _idle(module):  # it may skip parts at random in training, but not in evaluation
            module.eval()
            flops = _pass(model, module, shape, outputs)
        with as_evaluated(module), torch.no_grad():
            _forward(model.module, module, shape)
    if idle := _idle(module):
        raise UserError(
            f"found {model.module} with parameters that its output does not depend on ({', '.join(idle[:3])}); "
            f"wanted none; take them out"
        )
    return module, flops


def _check_trainable(name: str, module: nn.Module) -> None:
    """Raise UserError if nothing is trained, or if trainable layers are kept where torch does not find them."""
    if hidden := sorted(_unregistered(module)):
        raise UserError(
            f"found {name} with weights that torch does not find, and so does not train ({', '.join(hidden)}); wanted "
            f"layers in a torch.nn.ModuleList or ModuleDict, tensors as torch.nn.Parameter; change it, or freeze them "
            f"with requires_grad_(False)"
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


def _pass(model: Countable, module: nn.Module, shape: tuple[int, ...], outputs: int) -> Mapping[str, int]:
    """Run one batch forward and backward, and return its FLOPs."""
    module.zero_grad()
    forward, backward = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with forward:
        found = check_forward(model.module, module, shape, outputs)
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


def check_forward(name: str, module: nn.Module, shape: tuple[int, ...], outputs: int) -> Tensor:
    """Run one batch forward and return its outputs; UserError if they have the wrong shape, or the batch changes."""
    found = _forward(name, module, shape)
    if not isinstance(found, Tensor) or found.shape != (BATCH, outputs):
        shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f"found {name}, which gives {shown} for {BATCH} examples; wanted {(BATCH, outputs)}, one "
            f"number a class; change its last layer"
        )
    return found


def _forward(name: str, module: nn.Module, shape: tuple[int, ...]) -> Any:
    """Run one batch forward; UserError if that changes the batch, since examples are shared and reused."""
    x = torch.zeros(BATCH, *shape)
    version = version_of(x)
    found = module(x)
    if version_of(x) != version:
        raise UserError(
            f"found {name}, which changes its input in place, and so the data of later evaluations and runs; "
            f"wanted the input unchanged; begin its forward with x = x.clone(), or compute without in-place operations"
        )
    return found


def _idle(module: nn.Module) -> list[str]:
    """Return the names of trained parameters that the output of the last pass did not depend on."""
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad and parameter.grad is None]


def _own_flops(flops: Mapping[str, int], name: str, part: nn.Module) -> int:
    """Return the FLOPs of a submodule without those of its children."""
    prefix = f"{name}." if name else ""
    return flops.get(name, 0) - sum(flops.get(f"{prefix}{child}", 0) for child, _ in part.named_children())


def _ends(model: Countable, module: nn.Module, names: list[str]) -> tuple[str | None, str | None]:
    """Return the names of the first and last layer; None for both, unless given, if there is a single matrix."""
    if not names:
        raise UserError(f"found {model.module} without a weight matrix; wanted something to train; add a layer")
    for key, name in (("embed", model.embed), ("head", model.head)):
        if name is not None and not any(_within(n, name) for n in names):
            raise UserError(
                f"found model.{key}={name}, which is no submodule of {model.module} with a weight matrix; "
                f"wanted one of {', '.join(names)}; change it"
            )
    if len(names) == 1:
        return model.embed, model.head
    return model.embed or names[0], model.head or ("head" if hasattr(module, "head") else names[-1])


def _within(name: str, part: str | None) -> bool:
    return part is not None and (name == part or name.startswith(f"{part}."))
