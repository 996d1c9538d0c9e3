"""Weights kept at a milestone, for stages that start from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from scaling.errors import UserError
from scaling.folders import RunFolder
from scaling.models.module_state import device_kinds, own_values
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint


@dataclass(frozen=True)
class KeptWeights:
    """A network's weights and buffers, and what else a user's module keeps, with the kinds of device of its tensors."""

    model: dict[str, Tensor]
    own: dict[str, Any]
    own_devices: dict[str, str]


def keep_weights(folder: RunFolder, run_id: str, step: int, module: nn.Module, *, own: bool = False) -> None:
    """Write a network's weights and running statistics atomically; own: also attributes of a user's module."""
    values = own_values(module) if own else {}
    state = {"model": module.state_dict(), "own": values, "own_devices": device_kinds(values)}
    write_checkpoint(folder.kept_weights(step), run_id, state)


def read_kept_weights(folder: RunFolder, step: int) -> KeptWeights:
    """Read the weights that a run kept at a step; UserError if they are missing or damaged."""
    state = read_checkpoint(folder.kept_weights(step), folder.run_id)
    if state is None:
        raise UserError(
            f"found no weights of run {folder.run_id} at step {step} ({folder.kept_weights(step)}); wanted them kept; "
            f"run its command again with train.keep=milestones"
        )
    return KeptWeights(state["model"], state.get("own", {}), state.get("own_devices", {}))  # not in older files
