"""Rounds of `scaling extend` on SLURM: the command is killed while jobs train its round, and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from scaling.dispatch.slurm import scheduler
from scaling.folders import read_lines
from tests.commands.rounds.test_rounds import SWEEP
from tests.waiting import wait_for

ON_SLURM = ("launcher=slurm", "launcher.jobs=2", "launcher.gpus=0", "launcher.cpus=1", "launcher.min_memory_gb=0.5")
ON_SLURM = (*ON_SLURM, "launcher.beat_seconds=0.5", "launcher.signal_seconds=30")
ASKED = ("extend", "results/tiny", "--target", "C=1e8", "--until", "1e-9", "--limit", "flops=6e7", "--most", "3")
ASKED = (*ASKED, "--rounds", "2", "--json", "-")


@pytest.mark.slow
def test_a_loop_that_is_killed_in_mid_round_goes_on(cluster, scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "tiny.yaml").write_text(SWEEP.replace("launcher: {workers: 1}\n", ""))
    scaling.outside("run", "sweep=tiny", *ON_SLURM, "--wait")
    loop = subprocess.Popen([sys.executable, "-m", "scaling", *ASKED], cwd=scaling.folder, stdout=subprocess.DEVNULL)
    wait_for(lambda: (scaling.folder / "results/tiny/rounds/001/suggestion.json").exists(), 300)
    wait_for(lambda: scheduler.all_jobs() != {}, 300)
    loop.send_signal(signal.SIGKILL)
    loop.wait()
    kept = json.loads((scaling.folder / "results/tiny/rounds/001/suggestion.json").read_text())
    assert not (scaling.folder / "results/tiny/rounds/001/outcome.json").exists()
    found = json.loads(scaling.outside(*ASKED))
    assert [one["round"] for one in found["rounds"]] == ["001", "002"]
    assert found["rounds"][0]["runs"] == kept["runs"]
    assert found["spent"] <= 6e7
    for one in found["rounds"]:
        assert {run["status"] for run in one["outcome"]["runs"].values()} == {"finished"}
        for run_id in one["runs"]:
            [attempt] = read_lines(scaling.folder / "results/runs" / run_id / "attempts.jsonl")
            assert attempt["job"], "it was trained by a job, once"
