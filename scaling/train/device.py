"""The device of a run: by name, and as records describe it."""

from __future__ import annotations

import torch

from scaling.devices import device_name
from scaling.errors import UserError


def find_device(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or cuda:N; UserError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UserError(f"found the device {name!r}; wanted auto, cpu, cuda or cuda:N; change train.device")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"found no CUDA device; wanted {name}; set train.device=cpu or auto")
    if index and int(index) >= torch.cuda.device_count():
        raise UserError(f"found {torch.cuda.device_count()} CUDA devices; wanted {name}; give a lower number")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Return a device as records describe it: the GPU's model, or the processor's with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device_name('cpu')}, {threads} thread{'s' if threads > 1 else ''}"
