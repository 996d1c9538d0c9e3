"""A real SLURM on this machine: four nodes of four pretended GPUs, started for the tests and stopped after them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling.dispatch.slurm.scheduler import all_jobs
from tests.waiting import wait_for

SCRIPT = Path(__file__).with_name("cluster.sh")
GUARD = 'while kill -0 "$1" 2>/dev/null; do sleep 2; done; bash "$0" stop'  # where the tests are killed outright


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Path]:
    """Start the cluster and return its folder; its tools find it by SLURM_CONF in the environment."""
    if os.geteuid() != 0:
        pytest.skip("a SLURM of one's own needs root (device nodes, slurmd)")
    if shutil.which("slurmctld") is None:
        pytest.skip("SLURM is not installed: tests/slurm/cluster.sh install (Debian 12)")
    if os.environ.get("SCALING_SLURM_ACCOUNTING") and shutil.which("slurmdbd") is None:
        pytest.skip("slurmdbd is not installed: tests/slurm/cluster.sh install --acct (Debian 12)")
    folder = Path(os.environ.get("SCALING_SLURM_DIR") or tmp_path_factory.mktemp("slurm"))
    port = _free_ports(8)
    knobs = {"SLURM_LOCAL_DIR": str(folder), "CTLD_PORT": port, "DBD_PORT": port + 1, "NODE_PORT0": port + 2}
    environment = {**os.environ, **{key: str(value) for key, value in knobs.items()}}
    with pytest.MonkeyPatch.context() as patch:
        start = ["bash", SCRIPT, "start", *(["--acct"] if os.environ.get("SCALING_SLURM_ACCOUNTING") else [])]
        subprocess.run(start, env=environment, check=True, capture_output=True, timeout=300)
        guard = subprocess.Popen(
            ["bash", "-c", GUARD, SCRIPT, str(os.getpid())], env=environment, start_new_session=True
        )
        patch.setenv("SLURM_CONF", str(folder / "etc" / "slurm.conf"))
        for name in [name for name in os.environ if re.match(r"(SLURM|SBATCH)_(?!CONF)", name)]:
            patch.delenv(name)
        try:
            yield folder
        finally:
            guard.kill()
            guard.wait()
            subprocess.run(["bash", SCRIPT, "stop"], env=environment, check=True, capture_output=True, timeout=120)


@pytest.fixture(autouse=True)
def no_job_left(cluster) -> Iterator[None]:
    """End what a test that failed has left in the queue, for the tests after it."""
    yield
    if all_jobs():
        subprocess.run(["scancel", f"--user={os.getuid()}"], check=True)
        wait_for(lambda: all_jobs() == {})


def _free_ports(count: int) -> int:
    """Return the first of `count` ports in a row that nobody listens on."""
    first = 20000 + os.getpid() % 100 * 100  # test runs side by side keep out of each other's way
    for start in (*range(first, 30000, 50), *range(20000, first, 50)):
        try:
            for port in range(start, start + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return start
    pytest.skip("no free ports for a SLURM of one's own")
