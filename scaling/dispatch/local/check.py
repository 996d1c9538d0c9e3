"""Check what runs need on this machine, before anything is started."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.config import RunConfig


def check_devices(configs: Collection[RunConfig]) -> None:
    """Look for the devices that are named; UserError where one is not here."""
    for device in {config.train.device for config in configs} - {"auto", "cpu"}:
        from scaling.train.device import find_device

        find_device(device)


def check_data(configs: Collection[RunConfig]) -> None:
    """Look for data and for the files that stages read; UserError says what is missing and what to do."""
    for data in {config.data for config in configs}:
        source = data.source()
        if not source.ready:
            raise UserError(f"found no {data.name} at {source.where}; wanted its data; {source.advice}")
    for stage in {config.stage for config in configs}:
        for file in stage.files():
            if not file.is_file():
                raise UserError(f"found no file {file}, which stage={stage.name} reads; put it there")
