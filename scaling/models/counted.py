"""Count any torch module: its parameters by kind, and the FLOPs of its layers by torch's own counter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from scaling.accounting import FLOPS_PER_MULTIPLY_ADD, Layer, Role, count
from scaling.errors import UserError
from scaling.models.parts import is_matrix, own_parameters, with_matrices
from scaling.models.passes import BACKWARD, Countable, Passes, run_passes

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class CountedModule:
    """The layers of a module, and the name of its head; None if it has a single matrix."""

    layers: tuple[Layer, ...]
    head: str | None


def count_module(model: Countable, shape: tuple[int, ...], outputs: int) -> CountedModule:
    """Run batches forward and backward, if possible on the meta device, and return the layers.

    Parameters with two or more dimensions are weights. The FLOPs of a submodule are attributed to its weights as their
    `uses`; the rest (products without weights) is a layer without weights. The sum is exact.
    """
    module, passes = run_passes(model, shape, outputs)
    flops, parts = passes.flops, with_matrices(module)
    used = [name for name, part in parts.items() if _own_flops(flops, name, part) or isinstance(part, nn.Embedding)]
    ends = _ends(model, module, passes, used or list(parts))
    layers, seen, attributed = [], set[nn.Parameter](), 0
    for name, part in module.named_modules():
        own = [p for p in own_parameters(part) if p not in seen]  # tied weights are counted once
        seen.update(own)
        weights = sum(p.numel() for p in own if is_matrix(p))
        others = sum(p.numel() for p in own if not is_matrix(p))
        if not weights and not others:
            continue
        uses = _own_flops(flops, name, part) // (FLOPS_PER_MULTIPLY_ADD * weights) if weights else 0
        maps = uses * part.out_channels if isinstance(part, CONVOLUTIONS) else 0
        first = bool(weights) and name == ends.first
        layers.append(Layer(weights, others, ends.role(name, part), uses, first=first, maps=maps))
        attributed += FLOPS_PER_MULTIPLY_ADD * weights * uses
    layers.append(Layer(weights=0, flops=flops[""] - attributed, per_pass=passes.per_pass))
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    if frozen or not any(isinstance(part, CONVOLUTIONS) and part.groups > 1 for part in parts.values()):
        # What the backward pass was counted to take; in groups torch counts a convolution's as if it had one.
        unneeded = count(layers).backward_flops - flops[BACKWARD]
        layers[-1] = replace(layers[-1], frozen=frozen, unneeded=unneeded)
    return CountedModule(tuple(layers), ends.head)


def _own_flops(flops: Mapping[str, int], name: str, part: nn.Module) -> int:
    """Return the FLOPs of a submodule, and of its parametrizations, without those of its other children."""
    return flops.get(name, 0) - _flops_below(flops, name, part)


def _flops_below(flops: Mapping[str, int], name: str, part: nn.Module) -> int:
    """Return the FLOPs of a submodule's children; of a container that is never called itself, of what it contains."""
    below = 0
    for child, inner in part.named_children():
        path = f"{name}.{child}" if name else child
        if child != "parametrizations":
            below += flops[path] if path in flops else _flops_below(flops, path, inner)
    return below


@dataclass(frozen=True)
class Ends:
    """Names of the first and the last layer, None if there is a single matrix.

    first: the layer within `embed` that reads the data; tables: embedding tables count as the first layer too.
    """

    embed: str | None
    head: str | None
    first: str
    tables: bool

    def role(self, name: str, part: nn.Module) -> Role:
        """Return the role of a submodule."""
        if _within(name, self.head) and not _within(self.embed, self.head):
            return "head"
        if _within(name, self.embed) or (self.tables and isinstance(part, nn.Embedding)):
            return "embed"
        return "head" if _within(name, self.head) else "body"


def _ends(model: Countable, module: nn.Module, passes: Passes, names: Sequence[str]) -> Ends:
    """Find the ends among the submodules that have matrices and FLOPs; UserError if there is none of a given name."""
    if not names:
        raise UserError(f"found {model.module} without a weight matrix; wanted something to train; add a layer")
    for key, name in (("embed", model.embed), ("head", model.head)):
        if name is not None and not any(_within(n, name) for n in names):
            raise UserError(
                f"found model.{key}={name}, which is no submodule of {model.module} with a weight matrix; "
                f"wanted one of {', '.join(names)}; change it"
            )
    inner = [name for name in names if name and not any(_within(other, name) for other in names if other != name)]
    entered = [name for name in passes.entered if name in inner]
    parts = dict(module.named_modules())
    left = [name for name in passes.left if name in inner and any(p.requires_grad for p in own_parameters(parts[name]))]
    embed, head = model.embed, model.head
    if len(names) > 1:
        head = head or ("head" if hasattr(module, "head") else [*names, *left][-1])
        embed = embed or next((name for name in entered if not _within(name, head)), names[0])
    first = next((name for name in [*entered, *names] if _within(name, embed)), names[0])
    return Ends(embed, head, first, tables=model.embed is None and len(names) > 1)


def _within(name: str | None, part: str | None) -> bool:
    """Return whether a submodule is a part or lies inside it."""
    return name is not None and part is not None and (name == part or name.startswith(f"{part}."))
