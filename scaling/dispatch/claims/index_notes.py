"""A worker's lines in the index, which save other workers from looking at every run."""

from __future__ import annotations

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.queue import Entry
from scaling.dispatch.states import index
from scaling.dispatch.states.attempts import SETTLED, PastAttempt, read_attempts
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.settled import settled_lines
from scaling.folders import RunFolder


class IndexNotes:
    """Writes one worker's claims and their outcomes into the index."""

    def __init__(self, to: Index) -> None:
        self.index = to
        self._tokens: dict[str, str] = {}

    def claimed(self, entry: Entry, claim: Claim) -> None:
        """Note that a run is claimed, and its forecast cost."""
        self._tokens[entry.run_id] = claim.token
        facts = {"token": claim.token, "since": claim.since, "gpus": claim.gpus, "C": entry.C}
        self.index.append(index.CLAIMED, entry.run_id, {**facts, "seconds": entry.forecast_seconds})

    def tried(self, files: RunFolder, attempt: PastAttempt, *, token: str | None = None) -> None:
        """Record an attempt, and note its cost and the content of its record, if there is one.

        token: of the attempt's claim, by default this worker's.
        """
        attempt.append(files)
        ours = self._tokens.pop(files.run_id, "") if token is None else token
        lines = [index.Line(index.TRIED, files.run_id, {"token": ours, "gpu_seconds": attempt.gpu_seconds})]
        try:
            if attempt.cause in SETTLED:
                lines += settled_lines(files, self.index)
        finally:  # the run is released even if the record cannot be read
            self.index.append_all(lines)

    def died(self, files: RunFolder, attempt: PastAttempt, *, token: str) -> None:
        """Record the attempt of a dead worker, unless it was recorded before and its claim could not be replaced.

        The first record counts: a scheduler may give another cause later.
        """
        if all((line.get("start"), line.get("host")) != (attempt.start, attempt.host) for line in read_attempts(files)):
            self.tried(files, attempt, token=token)

    def failed(self, run_id: str, dispatch: str) -> None:
        """Note that a run has failed for good in this dispatch."""
        self.index.append(index.FAILED, run_id, {"in": dispatch})

    def dropped(self, run_id: str) -> None:
        """Note that a claimed run is released without an attempt."""
        token = self._tokens.pop(run_id, None)
        if token is not None:
            self.index.append(index.DROPPED, run_id, {"token": token})
