"""Check users' modules before stacking them: does a stack compute the same as each module by itself?

Outputs, gradients and outputs in evaluation are compared on some examples, with slightly perturbed parameters, so that
nothing is zero by chance, and in float32, since differences by TF32 rounding may exceed the tolerance. First the layers
of layers.py are tried, which a module with hooks, shared parts or parts that are never in training may not match; then
vmap.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from scaling.global_streams import kept_streams, stream_states
from scaling.internals.torch import has_accumulation_hooks
from scaling.models.blocks import LinearMap, Network
from scaling.models.module_state import held_tensors, replaced_tensors, unsaved_values
from scaling.models.parts import DROPOUTS, as_evaluated
from scaling.train.errors import is_out_of_memory
from scaling.train.precision import matmul_precision
from scaling.train.stacked.layers import MemberValues, UnknownLayer, stack_layers
from scaling.train.stacked.rows import Rows
from scaling.train.stacked.steps.gradients import gradients_by_hand
from scaling.train.stacked.users.vmapped import NotStackable, map_module

KNOWN = (Network, LinearMap)  # the families here
TRIED = 5  # examples
MOVED = 0.02  # standard deviation of the perturbation
TOLERANCES = (1e-3, 1e-2)  # for outputs and gradients, relative to each member's largest
LEAST = 1e-2  # in units of a member's largest gradient: the smallest scale for comparing gradients
Augment = Callable[[Tensor, Tensor, torch.Generator], Any]
Outputs = tuple[Tensor, list[Tensor]]  # (K, n, outputs), and the gradients of the columns (K, *shape)


def check_stackable_module(module: nn.Module) -> None:
    """Raise NotStackable for a module that shows without a trial that its values are not rows of tensors."""
    name, parameters = type(module).__name__, list(module.parameters())
    if any(map(is_lazy, parameters)):
        raise NotStackable(f"{name} makes parameters when it sees its first batch")
    state, names = module.state_dict(), {key for key, _ in module.named_parameters(remove_duplicate=False)}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise NotStackable(f"{name} has more than tensors in its state_dict")
    if names - state.keys():
        raise NotStackable(f"{name} has a state_dict of its own, without the names of its parameters")
    if any(map(has_accumulation_hooks, parameters)):
        raise NotStackable(f"{name} has hooks that change its gradients once they are accumulated")


def needs_vmap(modules: Sequence[nn.Module], rows: Rows, x: Tensor, outputs: int) -> bool:
    """Return True if the members' modules need vmap, False if the layers of layers.py compute them.

    x (n, *shape): examples. Raises NotStackable if neither computes the same as each module by itself.
    """
    if type(modules[0]) in KNOWN and _is_known(modules[0], rows):
        return False
    moved, generator = Rows(rows.layout, modules), torch.Generator().manual_seed(0)
    moved.trained.add_(torch.randn(moved.trained.shape, generator=generator).to(x.device), alpha=MOVED)
    slopes = torch.randn((len(modules), len(x[:TRIED]), outputs), generator=generator).to(x.device)
    try:
        with kept_streams(), matmul_precision("fp32"):
            for row, module in enumerate(modules):
                moved.write_to(module, row)
            return _Trial(modules, moved, x[:TRIED], slopes).needs_vmap()
    finally:
        for row, module in enumerate(modules):
            rows.write_to(module, row)


def check_stackable_augmentation(augment: Augment | None, x: Tensor, y: Tensor) -> None:
    """Raise NotStackable if a user's augmentation depends on more than its arguments, the batch and the generator.

    So does one whose labels are no classes. x (n, *shape), y (n,): examples.
    """
    if augment is None:
        return
    devices = [x.device] if x.device.type == "cuda" else []
    with kept_streams():
        streams, own = stream_states(devices), _pickled(getattr(augment, "__dict__", None))
        labels = augment(x[:TRIED].clone(), y[:TRIED].clone(), torch.Generator(x.device).manual_seed(0))[1]
        if isinstance(labels, Tensor) and labels.shape != y[:TRIED].shape:
            raise NotStackable("its augmentation gives labels that are shares of classes")
        if _differ(streams, stream_states(devices)):
            raise NotStackable("its augmentation draws from global random streams, and not from its generator")
        if own != _pickled(getattr(augment, "__dict__", None)):
            raise NotStackable("its augmentation changes itself from batch to batch")


def _is_known(module: nn.Module, rows: Rows) -> bool:
    """Return whether all layers of a module have stacked forms; a user may have added others to a shipped family."""
    try:
        stack_layers(module, MemberValues(rows.values, []))
    except UnknownLayer:
        return False
    return True


class _Trial:
    """Modules with the values of `rows`, examples x, and derivatives of some loss, slopes (K, n, outputs)."""

    def __init__(self, modules: Sequence[nn.Module], rows: Rows, x: Tensor, slopes: Tensor) -> None:
        self.modules, self.rows, self.slopes, self.name = modules, rows, slopes, type(modules[0]).__name__
        self.x, self.unused = x.expand(len(modules), *x.shape), False

    def needs_vmap(self) -> bool:
        """Try the layers of layers.py, then vmap; return whether vmap is needed."""
        with _without_dropout(self.modules):
            if self._layers_agree():
                return False
        streams, own = stream_states([]), _own_attributes(self.modules)
        held = held_tensors(self.modules[0])
        wanted = self._by_themselves()
        if replaced := replaced_tensors(self.modules[0], held):
            raise NotStackable(f"{self.name} replaces {replaced[0]} by a new tensor, where a stack changes its buffers")
        try:
            found = self._differentiated(map_module(self.modules[0], self._values()))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            text = " ".join(str(error).split())[:200]
            raise NotStackable(f"vmap of {self.name} fails ({type(error).__name__}: {text})") from error
        if _differ(streams, stream_states([])):
            raise NotStackable(f"{self.name} draws from global random streams, of which each member has its own")
        if self.unused:
            raise NotStackable(f"{self.name} has parameters that its output does not depend on")
        changed = [name for name, value in _own_attributes(self.modules).items() if value != own.get(name)]
        if changed:
            raise NotStackable(f"{self.name} changes what is none of its buffers while it computes: {changed[0]}")
        if not _agree(found, wanted):
            raise NotStackable(f"{self.name} computes something else under vmap")
        return True

    def _layers_agree(self) -> bool:
        if len({part.training for module in self.modules for part in module.modules()}) > 1:
            return False  # some part is never in training
        try:
            tried, evaluated = [self._by_layers(), *self._by_hand()], self._evaluated()
        except (UnknownLayer, RuntimeError, IndexError):  # shapes that batched products do not accept
            return False
        wanted = self._by_themselves()
        same = all(_agree(found, wanted) for found in tried)
        return same and _close(evaluated, self._evaluated_by_themselves(), TOLERANCES[0])

    def _by_layers(self) -> Outputs:
        values = MemberValues(self._values(), self._generators())
        return self._differentiated(stack_layers(self.modules[0], values))

    def _by_hand(self) -> list[Outputs]:
        """Return outputs and gradients by by_hand.py; [] if it lacks some layer."""
        outputs: list[Tensor] = []

        def slopes(found: Tensor, _: Any) -> tuple[Tensor, Tensor]:
            outputs.append(found.clone())
            return found, self.slopes

        gradients = gradients_by_hand(self.modules[0], self.rows, self._generators(), slopes)
        if gradients is None:
            return []
        _, found = gradients(self.x.clone(), self.slopes)
        return [(outputs[0], found)]

    def _differentiated(self, forward: Callable[[Tensor], Tensor]) -> Outputs:
        outputs = forward(self.x.clone())
        leaves = list(self.rows.leaves.values())
        gradients = torch.autograd.grad(outputs, leaves, self.slopes, allow_unused=True)
        return outputs.detach(), self._filled(gradients, leaves)

    def _by_themselves(self) -> Outputs:
        """Return outputs and gradients of each module by itself, and restore its buffers."""
        outputs, gradients = list[Tensor](), list[list[Tensor]]()
        for row, module in enumerate(self.modules):
            named = dict(module.named_parameters())
            leaves = [named[column.name] for column in self.rows.layout.columns]
            outputs.append(module(self.x[row].clone()))
            found = torch.autograd.grad(outputs[-1], leaves, self.slopes[row], allow_unused=True)
            gradients.append(self._filled(found, leaves))
            self.rows.write_to(module, row)
        return torch.stack(outputs).detach(), [torch.stack(parts) for parts in zip(*gradients, strict=True)]

    def _filled(self, gradients: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Tensor]:
        """Replace missing gradients by zeros, and note that there are some."""
        self.unused |= any(gradient is None for gradient in gradients)
        pairs = zip(gradients, leaves, strict=True)
        return [torch.zeros_like(leaf) if gradient is None else gradient for gradient, leaf in pairs]

    @torch.no_grad()
    def _evaluated(self) -> Tensor:
        return stack_layers(self.modules[0], MemberValues(self.rows.values, None))(self.x)

    @torch.no_grad()
    def _evaluated_by_themselves(self) -> Tensor:
        with as_evaluated(*self.modules):
            return torch.stack([module(x.clone()) for module, x in zip(self.modules, self.x, strict=True)])

    def _values(self) -> dict[str, Tensor]:
        """Return all values, with copies of those that are not trained, because they may change."""
        return self.rows.values_with({name: value.clone() for name, value in self.rows.fixed.items()})

    def _generators(self) -> list[torch.Generator]:
        return [torch.Generator(self.x.device) for _ in self.modules]


@contextmanager
def _without_dropout(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Turn dropout off: on a GPU a stack draws other masks than its members by themselves."""
    parts = [part for module in modules for part in module.modules() if isinstance(part, DROPOUTS)]
    shares = [part.p for part in parts]
    try:
        for part in parts:
            part.p = 0.0
        yield
    finally:
        for part, share in zip(parts, shares, strict=True):
            part.p = share


def _own_attributes(modules: Sequence[nn.Module]) -> dict[str, bytes]:
    """Return pickled attributes of modules by name, without parameters, buffers of the state and submodules."""
    found = dict[str, bytes]()
    for number, module in enumerate(modules):
        for path, part in module.named_modules():
            for name, value in unsaved_values(part).items():
                found[f"{path}.{name}".lstrip(".") + f" of member {number}"] = _pickled(value)
    return found


def _pickled(value: Any) -> bytes:
    """Return a value pickled for comparison, b"" if it cannot be pickled."""
    with suppress(Exception):
        return pickle.dumps(value)
    return b""


def _agree(found: Outputs, wanted: Outputs) -> bool:
    """Return whether outputs and gradients are equal up to rounding."""
    largest = torch.stack([_largest(gradient) for gradient in wanted[1]]).amax(0)
    pairs = zip(found[1], wanted[1], strict=True)
    outputs, gradients = TOLERANCES
    return _close(found[0], wanted[0], outputs) and all(_close(a, b, gradients, LEAST * largest) for a, b in pairs)


def _close(found: Tensor, wanted: Tensor, tolerance: float, least: Tensor | float = 1e-3) -> bool:
    """Return whether values (K, …) differ by at most `tolerance` times each member's largest, or `least` (K,)."""
    if found.shape != wanted.shape:
        return False
    scale = torch.maximum(_largest(wanted), torch.as_tensor(least, device=wanted.device))
    return bool((_largest(found - wanted) <= tolerance * scale).all())


def _largest(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).nan_to_num(0.0).abs().amax(1)  # a parameter may be a single number


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    same = before["random"] == after["random"] and before["numpy"] == after["numpy"]
    return not (same and all(map(torch.equal, before["torch"], after["torch"])))
