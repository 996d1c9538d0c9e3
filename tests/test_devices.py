"""The memory that this machine has, or the container or job."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling import devices
from scaling.devices import HostMemory, host_memory

GB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MACHINE = {"proc/meminfo": f"MemTotal: {64 * GB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {40 * GB // 1024} kB\n"}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, HostMemory(64 * GB, 40 * GB)),
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                "sys/fs/cgroup/job/memory.max": f"{8 * GB}\n",
                "sys/fs/cgroup/job/memory.current": f"{5 * GB}\n",
                "sys/fs/cgroup/job/memory.stat": f"anon 3\ninactive_file {2 * GB}\n",
                "sys/fs/cgroup/job/step/memory.max": "max\n",
                "sys/fs/cgroup/job/step/memory.current": "7\n",
            },
            HostMemory(8 * GB, 5 * GB),
        ),
        (
            {
                "proc/self/cgroup": "2:cpu:/\n4:memory:/not/visible/here\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GB}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GB}\n",
                "sys/fs/cgroup/memory/memory.stat": f"cache 5\ntotal_inactive_file {GB // 2}\n",
            },
            HostMemory(2 * GB, 0),
        ),
    ],
    ids=["a machine", "a job in a group of version 2", "a container of version 1"],
)
def test_memory_is_that_of_the_machine_or_of_a_limit(files, wanted, tmp_path):
    assert host_memory(write(tmp_path, {**MACHINE, **files})) == wanted


@pytest.mark.parametrize(
    ("torch", "wanted"), [("2.13.0+cpu", ()), ("2.13.0", ("2", "5")), ("2.11.0+cu130", ("2", "5"))]
)
def test_a_torch_for_cpus_alone_has_no_gpu(torch, wanted, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    monkeypatch.setattr(devices, "torch_version", lambda: torch)
    assert devices.gpus.__wrapped__() == wanted
