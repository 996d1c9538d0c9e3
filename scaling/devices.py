"""Devices of this machine, found without importing torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from scaling.errors import UserError


def check_device(name: str) -> None:
    """Raise UserError if train.device is not auto, cpu, cuda or cuda:N."""
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise UserError(f"found the device {name!r}; wanted auto, cpu, cuda or cuda:N; name one of them")


@cache
def gpus() -> tuple[str, ...]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them; none for a torch built for CPUs alone."""
    found = _visible_gpus()
    return () if found and torch_version().endswith("+cpu") else found


@cache
def torch_version() -> str:
    """Return the version of the installed torch, without importing it."""
    return version("torch")


def _visible_gpus() -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(","))
        return tuple(name for name in names if name and not name.startswith("-"))
    driver = Path("/proc/driver/nvidia/gpus")
    if driver.is_dir():
        return tuple(str(index) for index, _ in enumerate(driver.iterdir()))
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(index) for index, _ in enumerate(lines)) if listed.returncode == 0 else ()


def cores() -> int:
    """Return the number of CPU cores for this process: its affinity, or less by a container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return affinity
    if quota == "max":
        return affinity
    return max(1, min(affinity, round(int(quota) / int(period))))


@dataclass(frozen=True)
class HostMemory:
    """The bytes of this machine's memory, or of the limit of its container or job, and how many of them are free."""

    total: int
    free: int


def host_memory(root: Path = Path("/")) -> HostMemory:
    """Return the memory of this machine, or less by a control group's limit (versions 1 and 2)."""
    total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError):  # not a Linux
        lines = (line.split() for line in (root / "proc/meminfo").read_text().splitlines())
        sizes = {name: 1024 * int(size) for name, size, *_ in lines}
        total, free = sizes["MemTotal:"], sizes.get("MemAvailable:", sizes["MemFree:"])
    for limit, used in _memory_groups(root):
        total, free = min(total, limit), min(free, max(0, limit - used))
    return HostMemory(total, free)


def _memory_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Yield the limit and the bytes in use, without file cache, of this process's control groups and their parents."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        folder = top / path.strip("/")
        for group in (folder, *folder.parents):
            with suppress(OSError, ValueError):  # no limit, or not visible inside a container
                limit, used = (int((group / name).read_text()) for name in names)
                yield limit, used - _file_cache(group)
            if group == top:
                break


def _file_cache(group: Path) -> int:
    """Return the bytes of cached files of a control group that are given up when memory is needed."""
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment to set before numpy or torch start, so that workers do not compete for cores.

    Passive waiting: two spinning OpenMP threads on a busy machine run 14 to 62 times slower than one. Huge pages: torch
    asks for fresh memory for every large tensor, and the faults of small pages made mixing a batch of images 3 times
    slower.
    """
    count = str(threads)
    return {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "passive",
        "THP_MEM_ALLOC_ENABLE": "1",
    }


@cache
def device_name(kind: str) -> str:
    """Return the name of this machine's processor or first GPU, without importing torch."""
    if kind == "cuda":
        return _gpu_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _gpu_name() -> str:
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        models = [line for line in information.read_text().splitlines() if line.startswith("Model:")]
        if models:
            return models[0].partition(":")[2].strip()
    if shutil.which("nvidia-smi") is None:
        return "cuda"
    ask = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.splitlines()
    return names[0].strip() if names else "cuda"
