"""Sweeps in flight on the test cluster, and what may have become of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.process import start_time
from scaling.dispatch.slurm import scheduler
from scaling.dispatch.slurm.submit import Submission, submit
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import Planned, Status
from scaling.folders import RunFolder, SweepFolder
from scaling.plan.planned import PlannedRun
from tests.dispatch.conftest import STAND_IN, claims, open_gates, order, under_way
from tests.dispatch.stand_in import planned
from tests.waiting import wait_for

HERE = Path(__file__).parents[2]
LAUNCHER = Slurm(jobs=2, cpus=1, min_memory_gb=0.5, beat_seconds=0.5, signal_seconds=30)
SUBMIT = """
import sys
from tests.slurm.sweeps import sweep
flight = sweep(sys.argv[1], int(sys.argv[2]), sys.argv[3])
flight.submit()
print("submitted", flush=True)
sys.stdin.read()
"""


@dataclass
class Flight:
    """A sweep on its way."""

    folder: SweepFolder
    runs: list[PlannedRun]
    launcher: Slurm = LAUNCHER
    train: str = STAND_IN

    def submit(self) -> Submission:
        return submit(order(self.folder, self.runs, train=self.train), self.launcher)

    def submit_elsewhere(self) -> subprocess.Popen:
        """Submit from a process of its own, which then waits."""
        count, act = len(self.runs), self.runs[0].overrides["act"]
        command = [sys.executable, "-c", SUBMIT, str(self.folder.results), str(count), str(act)]
        return subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def files(self, run: PlannedRun) -> RunFolder:
        return self.folder.run(run.run_id)

    def claims(self) -> list[Claim]:
        return claims(self.folder)

    def working(self, count: int = 1) -> Claim:
        """Wait until so many runs are under way, with a checkpoint each, and return the claim of one."""
        return under_way(self.folder, self.runs, count)

    def open(self, *runs: PlannedRun) -> None:
        """Let runs that hold go on; all of them where none is named."""
        open_gates(self.folder, runs or self.runs)

    def settled(self) -> list[PlannedRun]:
        return [run for run in self.runs if self.files(run).record.exists()]

    def status(self) -> Status:
        return Reader(self.folder, [Planned(run.run_id, run.run_id) for run in self.runs]).read()

    def records(self) -> dict[str, dict]:
        """Return the records by run, without `how`."""
        found = {run.run_id: json.loads(self.files(run).record.read_text()) for run in self.settled()}
        return {run_id: {key: record[key] for key in record if key != "how"} for run_id, record in found.items()}

    def landed(self) -> None:
        """Wait until SLURM has no job of any sweep left."""
        wait_for(lambda: scheduler.all_jobs() == {}, 600)


def ended(claim: Claim) -> None:
    """Wait until the process that holds a claim has ended."""
    wait_for(lambda: start_time(claim.process.pid) != claim.process.start)


def sweep(results: Path | str, count: int, act: str, **more) -> Flight:
    return Flight(SweepFolder(Path(results), "sweep"), [planned(seed, act) for seed in range(count)], **more)


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
