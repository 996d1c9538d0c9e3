"""Build the augmentation of a run."""

from __future__ import annotations

from typing import Any

from scaling.augment.users_augmentation import check_users_augmentation
from scaling.config import RunConfig
from scaling.security.modules import is_shipped


def build_augmentation(config: RunConfig, size: tuple[int, int] | None) -> Any:
    """Return the function that augments a batch (see `scaling.augment.none.Unchanged`), None for no augmentation.

    size: (height, width) of the network's images, if it differs from the data's; the augmentation makes images of this
    size if it can. UserError for a user's augmentation that changes its batch, or does not follow from its generator.
    """
    data, build_at = config.data, getattr(config.augment, "build_at", None)
    if not is_shipped(type(config.augment)):
        check_users_augmentation(config.augment, data.shape, data.outputs)
    if size is not None and build_at is not None:
        return build_at(data.shape, data.outputs, size)
    return config.augment.build(data.shape, data.outputs)
