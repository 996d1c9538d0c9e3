"""Sweeps in flight on the test cluster, and what may have become of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scaling.dispatch import scheduler
from scaling.dispatch.claim import Claim, read_claim
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.slurm import Submission, submit
from scaling.dispatch.state import Planned, Reader, Status
from scaling.folders import RunFolder, SweepFolder
from scaling.plan import PlannedRun
from tests.dispatch.conftest import STAND_IN, wait_for
from tests.dispatch.stand_in import planned

HERE = Path(__file__).parents[2]
LAUNCHER = Slurm(jobs=2, cpus=1, min_memory_gb=0.5, beat_seconds=0.5, signal_seconds=30)
SUBMIT = """
import sys, time
from tests.slurm.sweeps import sweep
flight = sweep(sys.argv[1], int(sys.argv[2]), sys.argv[3])
flight.submit()
print("submitted", flush=True)
time.sleep(60)
"""


@dataclass
class Flight:
    """A sweep on its way."""

    folder: SweepFolder
    runs: list[PlannedRun]
    launcher: Slurm = LAUNCHER
    train: str = STAND_IN

    def submit(self) -> Submission:
        return submit(self.folder, self.runs, self.launcher, train=self.train)

    def submit_elsewhere(self) -> subprocess.Popen:
        """Submit from a process of its own, which then waits."""
        count, act = len(self.runs), self.runs[0].overrides["act"]
        command = [sys.executable, "-c", SUBMIT, str(self.folder.results), str(count), str(act)]
        return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)

    def files(self, run: PlannedRun) -> RunFolder:
        return self.folder.run(run.run_id)

    def claims(self) -> list[Claim]:
        found = [read_claim(self.files(run).claim) for run in self.runs]
        return [claim for claim in found if claim is not None]

    def working(self) -> Claim:
        """Wait until a run is under way and has a checkpoint, and return its claim."""
        under_way: list[Claim] = []

        def some() -> bool:
            under_way[:] = [claim for claim in self.claims() if claim.progress.get("step", 0) >= 2]
            return bool(under_way)

        wait_for(some, 60)
        return under_way[0]

    def settled(self) -> list[PlannedRun]:
        return [run for run in self.runs if self.files(run).record.exists()]

    def status(self) -> Status:
        return Reader(self.folder, [Planned(run.run_id, run.run_id) for run in self.runs]).read()

    def records(self) -> dict[str, dict]:
        """Return the records by run, without `how`."""
        found = {run.run_id: json.loads(self.files(run).record.read_text()) for run in self.settled()}
        return {run_id: {key: record[key] for key in record if key != "how"} for run_id, record in found.items()}

    def landed(self, seconds: float = 120) -> None:
        """Wait until SLURM has no job of any sweep left."""
        wait_for(lambda: scheduler.all_states() == {}, seconds)


def sweep(results: Path | str, count: int, act: str, **more) -> Flight:
    return Flight(SweepFolder(Path(results), "sweep"), [planned(seed, act) for seed in range(count)], **more)


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
