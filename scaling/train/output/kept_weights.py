"""Weights kept at a milestone, for stages that start from it."""

from __future__ import annotations

from torch import Tensor, nn

from scaling.errors import UserError
from scaling.folders import RunFolder
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint


def keep_weights(folder: RunFolder, run_id: str, step: int, module: nn.Module) -> None:
    """Write a network's weights and running statistics atomically."""
    write_checkpoint(folder.kept_weights(step), run_id, {"model": module.state_dict()})


def read_kept_weights(folder: RunFolder, step: int) -> dict[str, Tensor]:
    """Read the weights that a run kept at a step; UserError if they are missing or damaged."""
    state = read_checkpoint(folder.kept_weights(step), folder.run_id)
    if state is None:
        raise UserError(
            f"found no weights of run {folder.run_id} at step {step} ({folder.kept_weights(step)}); wanted them kept; "
            f"run its command again with train.keep=milestones"
        )
    weights: dict[str, Tensor] = state["model"]
    return weights
