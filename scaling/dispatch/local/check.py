"""Check before a start that this machine has what runs need."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.config import RunConfig


def check_devices(configs: Collection[RunConfig]) -> None:
    """Check that the named devices exist; UserError if one does not."""
    for device in {config.train.device for config in configs} - {"auto", "cpu"}:
        from scaling.train.device import find_device

        find_device(device)


def check_data(configs: Collection[RunConfig]) -> None:
    """Check that data sets and the files of stages exist; UserError says what is missing and what to do."""
    for data in {config.data for config in configs}:
        source = data.source()
        if not source.ready:
            raise UserError(f"found no {data.name} at {source.where}; wanted its data; {source.advice}")
    for stage in {config.stage for config in configs}:
        for file in stage.files():
            if not file.is_file():
                raise UserError(f"found no file {file}, which stage={stage.name} reads; put it there")
