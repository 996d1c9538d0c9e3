"""What a job on SLURM may keep in memory."""

from __future__ import annotations

from scaling.devices import HostMemory
from scaling.dispatch.slurm.worker import kept_bytes


def test_a_job_keeps_no_more_data_than_a_quarter_of_the_memory_that_it_asked_for(monkeypatch):
    monkeypatch.setattr("scaling.data.memory.host_memory", lambda: HostMemory(1 << 39, 1 << 39))  # of the whole node
    monkeypatch.setattr("scaling.data.memory.cores", lambda: 2)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "4000")
    assert kept_bytes(gpus=1) == 1000 << 20
    for nothing in ("", "0"):  # 0: all that the node has
        monkeypatch.setenv("SLURM_MEM_PER_NODE", nothing)
        assert kept_bytes(gpus=1) == 16 << 30
        assert kept_bytes(gpus=0) == 1 << 30


def test_its_cores_do_not_divide_a_job_s_memory_which_one_worker_has(monkeypatch):
    monkeypatch.setattr("scaling.data.memory.host_memory", lambda: HostMemory(64_000 << 20, 1 << 36))  # by a cgroup
    monkeypatch.setattr("scaling.data.memory.cores", lambda: 16)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "64000")
    assert kept_bytes(gpus=1) == 16_000 << 20
