"""Restore a run's state in place after the warm-up steps of a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from scaling.global_streams import set_stream_states, stream_states
from scaling.models.module_state import TORCHS, held_tensors, replaced_tensors, restores
from scaling.train.step.graph import NotCaptured
from scaling.train.step.prepared import Step

Capture = Callable[..., Callable[[], None]]  # `graph.capture`, or a substitute without a GPU
PLAIN = (bool, int, float, str, bytes, type(None))
OF_ANY_MODULE = TORCHS - {"training"}


class Restorer:
    """Saves what steps change (tensors, attributes of a module, random streams); `restore` restores it in place.

    tensors: those that steps change; generators: those that steps use in addition to the global streams.
    """

    def __init__(
        self, tensors: Iterable[Tensor], generators: Sequence[torch.Generator], module: nn.Module, device: torch.device
    ) -> None:
        self._module, self._devices = module, [device] if device.type == "cuda" else []
        self._tensors = [(kept, kept.detach().clone()) for kept in tensors]
        self._generators = [(generator, generator.get_state()) for generator in generators]
        self._streams = stream_states(self._devices)
        self._own = restores(list(module.modules()))
        self._modes = {part: part.training for part in module.modules()}
        self._attributes, self._held = _plain_attributes(module), held_tensors(module)

    def difference(self) -> str:
        """Return why replays of a step that was taken since would differ from further steps, "" if they would not."""
        now, before = stream_states(self._devices), self._streams
        drawn = any(now[name] != before[name] for name in ("random", "numpy"))
        # Without a GPU, dropout draws from torch's stream on the host.
        if drawn or (self._devices and not torch.equal(now["torch"][0], before["torch"][0])):
            return "it draws random numbers on the host"
        if _plain_attributes(self._module) != self._attributes:
            return "its module changes more than tensors from step to step"
        if replaced := replaced_tensors(self._module, self._held):
            return f"its module replaces {replaced[0]} by a new tensor, and a replayed step would read the old one"
        return ""

    def restore(self) -> None:
        """Put everything back, in place."""
        with torch.no_grad():
            for kept, before in self._tensors:
                kept.copy_(before)
            for restore in self._own:
                restore()
        for part, mode in self._modes.items():
            part.training = mode
        for generator, state in self._generators:
            generator.set_state(state)
        set_stream_states(self._streams, self._devices)


class StepRestorer(Restorer):
    """Saves what a run's step changes: weights, running statistics, sums and moments, which may not exist yet."""

    def __init__(self, step: Step, module: nn.Module, device: torch.device) -> None:
        state = module.state_dict(keep_vars=True).values()
        tensors = [*(value for value in state if isinstance(value, Tensor)), step.total]
        super().__init__(tensors, [step.generator], module, device)
        self._step = step
        states = {id(p): step.optimizer.state.get(p, {}) for p in step.parameters}
        self._moments = {
            key: {name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)}
            for key, state in states.items()
        }

    def restore(self) -> None:
        """Put everything back, in place."""
        super().restore()
        for parameter in self._step.parameters:
            parameter.grad = None  # a step that failed after its backward pass has left some
            moments = self._moments[id(parameter)]
            for name, value in self._step.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):  # what did not exist starts at zero
                    value.copy_(moments[name]) if name in moments else value.zero_()


def _plain_attributes(module: nn.Module) -> list[dict[str, Any]]:
    """Return copies of the attributes of a module and its parts that hold no tensors: counters, lists, switches."""
    return [
        {name: deepcopy(value) for name, value in vars(part).items() if name not in OF_ANY_MODULE and _is_plain(value)}
        for part in module.modules()
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_plain(item) for item in value)
    return isinstance(value, PLAIN)


def captured(
    work: Callable[[], None],
    restorer: Restorer,
    device: torch.device,
    *,
    generators: Sequence[torch.Generator],
    capture: Capture,
) -> Callable[[], None]:
    """Capture work, restore what the warm-up changed, and return the replay; NotCaptured if that is impossible."""

    def check() -> None:
        why = restorer.difference()
        restorer.restore()
        if why:
            raise NotCaptured(why)

    try:
        return capture(work, device, generators=generators, check=check)
    except NotCaptured:
        restorer.restore()
        raise
