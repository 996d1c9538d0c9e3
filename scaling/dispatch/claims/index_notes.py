"""What a worker writes into the index, so that others need not look at every run."""

from __future__ import annotations

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.queue import Entry
from scaling.dispatch.states import index
from scaling.dispatch.states.attempts import SETTLED, Attempt
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.settled import settled_lines
from scaling.folders import RunFolder


class IndexNotes:
    """One worker's notes: of the claims that it holds, by run, and of what came of them."""

    def __init__(self, to: Index) -> None:
        self.index = to
        self._tokens: dict[str, str] = {}

    def claimed(self, entry: Entry, claim: Claim) -> None:
        """Note that a run is taken, and what it is forecast to cost."""
        self._tokens[entry.run_id] = claim.token
        facts = {"token": claim.token, "since": claim.since, "gpus": claim.gpus, "C": entry.C}
        self.index.append(index.CLAIMED, entry.run_id, {**facts, "seconds": entry.forecast_seconds})

    def tried(self, files: RunFolder, attempt: Attempt, *, token: str | None = None) -> None:
        """Write an attempt down, and note what it has cost, and what the record says that it has left.

        token: of the claim that it was of, by default ours.
        """
        attempt.append(files)
        ours = self._tokens.pop(files.run_id, "") if token is None else token
        lines = [index.Line(index.TRIED, files.run_id, {"token": ours, "gpu_seconds": attempt.gpu_seconds})]
        try:
            if attempt.cause in SETTLED:
                lines += settled_lines(files, self.index)
        finally:  # who cannot read the record has let go of the run all the same
            self.index.append_all(lines)

    def failed(self, run_id: str, dispatch: str) -> None:
        """Note that a run's tries are used up in this dispatch."""
        self.index.append(index.FAILED, run_id, {"in": dispatch})

    def dropped(self, run_id: str) -> None:
        """Note that a run is let go, if it was held and not tried."""
        token = self._tokens.pop(run_id, None)
        if token is not None:
            self.index.append(index.DROPPED, run_id, {"token": token})
