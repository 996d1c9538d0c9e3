"""The state of a sweep at one moment for the live page, as plain data."""

from __future__ import annotations

from typing import Any

from scaling.dispatch.show import counted, done_share
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.state import RunState, State, Status
from scaling.folders import SweepFolder, read_lines

MOST_RUNNING = 24  # runs under way that are shown, with their curves
MOST_FAILED = 50  # failures that are named
LOSSES = ("train_loss", "val_loss")


class Snapshots:
    """Reads the state of a sweep repeatedly, without writing."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._reader = Reader(folder, read_plan(folder))
        self._seen: dict[str, list[tuple[int, float]]] = {}  # the training loss of runs under way, as it was seen

    def take(self) -> dict[str, Any]:
        """Look once, and return counts, time left, the runs under way with their curves, and the failures."""
        status = self._reader.read_with_trouble()
        failed = status.of(State.FAILED)
        running = status.of(State.RUNNING)
        self._seen = {run.run_id: self._seen.get(run.run_id, []) for run in running}
        return {
            "name": status.name,
            "runs": len(status.runs),
            "settled": status.settled,
            "states": _states(status),
            "share": round(done_share(status), 4),
            "eta_seconds": status.eta_seconds,
            "ended": not status.of(State.RUNNING, State.PENDING),
            "running": [self._of_running(run) for run in running[:MOST_RUNNING]],
            "failed": [
                {"id": run.run_id, "label": run.label, "cause": run.cause, "error": run.error}
                for run in failed[:MOST_FAILED]
            ],
            "notes": list(status.notes),
        }

    def _of_running(self, run: RunState) -> dict[str, Any]:
        seen = self._seen[run.run_id]
        if run.step is not None and run.loss is not None and (not seen or seen[-1][0] < run.step):
            seen.append((run.step, run.loss))
        points = [
            {"step": line["step"], **{name: line.get(name) for name in LOSSES}}
            for line in read_lines(self._folder.run(run.run_id).log)
            if isinstance(line.get("step"), int)
        ]
        return {
            "id": run.run_id,
            "label": run.label,
            "step": run.step,
            "steps": run.steps,
            "share": round(run.share, 4),
            "loss": run.loss,
            "seconds": run.seconds,
            "where": run.where,
            "seen": list(seen),
            "points": points,
        }


def _states(status: Status) -> list[tuple[str, int]]:
    finished = status.counts["finished"]
    return [*([("finished", finished)] if finished else []), *((words, n) for words, _, n in counted(status))]
