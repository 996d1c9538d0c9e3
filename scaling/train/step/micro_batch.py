"""Micro-batches: the parts of a batch that pass through the model one after the other, to save memory."""

from __future__ import annotations

from torch import nn

from scaling.config import RunConfig, Train
from scaling.errors import UserError
from scaling.models.custom import is_users_module
from scaling.models.parts import has_dropout
from scaling.models.users_model import mixes_examples

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def micro_batch_of(train: Train) -> int:
    """Return how many examples of a batch pass through the model at a time."""
    return min(train.micro_batch or train.batch, train.batch)


def check_micro_batch(config: RunConfig, module: nn.Module, *, size: tuple[int, int] | None = None) -> None:
    """Raise UserError if splitting a batch would change the run; a user's module is tried on random examples.

    size: (height, width) of the module's images, if it differs from the data's.
    """
    train = config.train
    if micro_batch_of(train) == train.batch:
        return
    found = f"found train.micro_batch={train.micro_batch} with"
    if any(isinstance(part, BATCH_NORMS) for part in module.modules()):
        raise UserError(
            f"{found} batch norm, whose statistics would be those of {train.micro_batch} examples; wanted those of the "
            f"batch of {train.batch}; take another norm, or drop it"
        )
    if has_dropout(module):
        raise UserError(
            f"{found} dropout, which would draw other masks than for a whole batch of {train.batch}; wanted the same "
            f"run; set model.dropout=0, or drop it"
        )
    shape = config.data.shape if size is None else (*config.data.shape[:-2], *size)
    if is_users_module(config.model) and mixes_examples(module, shape):
        raise UserError(
            f"{found} {type(module).__qualname__}, whose outputs in training depend on the rest of the batch or on "
            f"random numbers; wanted the same run as with batches of {train.batch}; drop train.micro_batch"
        )
