"""Devices of this machine, found without importing torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def gpus() -> tuple[str, ...]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
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
