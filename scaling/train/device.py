"""Find a run's device by name, describe it, and set the number of threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from scaling.devices import check_device, cores, device_name, host_memory
from scaling.errors import UserError
from scaling.numbers import many

SHARE_FOR_STACKS = 0.75  # of the memory; the rest is for what the forecast does not know


def find_device(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or cuda:N; UserError for one that is not there."""
    check_device(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"found no CUDA device; wanted {name}; set train.device=cpu or auto")
    if index and int(index) >= torch.cuda.device_count():
        raise UserError(f"found {torch.cuda.device_count()} CUDA devices; wanted {name}; give a lower number")
    return torch.device(name)


def hardware_name(device: torch.device) -> str:
    """Return the name of a GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device_name("cpu")


def describe_device(device: torch.device) -> str:
    """Return a device as records describe it: its name and, for the processor, the number of threads."""
    threads = torch.get_num_threads()
    used = "" if device.type == "cuda" else f", {many(threads, 'thread')}"
    return hardware_name(device) + used


def used_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one for the block: torch allocates pinned memory and waits by the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def memory_for_stacks(device: torch.device, *, workers: int) -> float:
    """Return how many bytes of a device's free memory the stacks of this process may take.

    On a CPU no more than its part of the memory: by its threads, or by the number of workers, 0 if unknown.
    """
    if device.type == "cuda":
        return SHARE_FOR_STACKS * free_bytes(device)
    memory, part = host_memory(), max(torch.get_num_threads() / cores(), 1 / workers if workers else 0.0)
    return SHARE_FOR_STACKS * min(memory.free, memory.total * min(1.0, part))


def free_bytes(device: torch.device) -> int:
    """Return how many bytes of a GPU's memory are available: free, or reserved by torch but unused."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads, but no more than there are processors, and restore the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
