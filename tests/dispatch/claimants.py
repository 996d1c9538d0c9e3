"""Processes that claim: one that holds a claim until it is killed, and contenders for claims of the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from scaling.dispatch.claims.claim import Claim, Life, Observer, acquire, take

ROOT = Path(__file__).parents[2]


def leave_claim(path: Path) -> int:
    """Leave a claim behind by killing its owner; return who that was."""
    command = [sys.executable, "-m", __name__, str(path)]
    owner = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"claimed\n"
    owner.kill()
    owner.communicate()
    return owner.pid


class MeetingObserver(Observer):
    """An observer that goes on only when all contenders have looked at the claim, and found it dead."""

    def __init__(self, gate: Barrier) -> None:
        super().__init__()
        self._gate = gate

    def look(self, path: Path) -> tuple[Life, Claim | None]:
        found = super().look(path)
        if not path.name.startswith("."):  # the claim, no marker of somebody who is removing it
            assert found[0] is Life.DEAD
            self._gate.wait()
        return found


def contend(folder: Path, gate: Barrier, rounds: int, wins: SimpleQueue) -> None:
    """Try to take each of the claims in turn, at the same moment as the others who contend."""
    observer = MeetingObserver(gate)
    for number in range(rounds):
        if take(folder / f"{number}.json", observer) is not None:
            wins.put((number, os.getpid()))
    gate.wait()  # nobody ends, and leaves dead claims again, before all are through


def main(path: str) -> None:
    """Hold a claim until this process is killed, or whoever started it has ended."""
    acquire(Path(path), job="7")
    print("claimed", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
