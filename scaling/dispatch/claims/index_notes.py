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
        """Note the cost of a recorded attempt, and the content of the run's record, if there is one.

        token: of the attempt's claim, by default this worker's.
        """
        ours = self._tokens.pop(files.run_id, "") if token is None else token
        lines = [index.Line(index.TRIED, files.run_id, {"token": ours, "gpu_seconds": attempt.gpu_seconds})]
        try:
            if attempt.cause in SETTLED:
                lines += settled_lines(files, self.index)
        finally:  # the run is released even if the record cannot be read
            self.index.append_all(lines)

    def died(self, files: RunFolder, attempt: PastAttempt, *, token: str) -> None:
        """Record the attempt of a dead worker, unless it is recorded: by itself, or before its claim could be replaced.

        While the claim exists, nobody else tries the run. The first record counts: a scheduler may give another cause
        later.
        """
        lines = read_attempts(files)
        if not any(line.get("host") == attempt.host and str(line.get("start")) >= attempt.start for line in lines):
            attempt.append(files)
            self.tried(files, attempt, token=token)

    def failed(self, run_id: str, dispatch: str) -> None:
        """Note that a run has failed for good in this dispatch."""
        self.index.append(index.FAILED, run_id, {"in": dispatch})

    def dropped(self, run_id: str) -> None:
        """Note that a claimed run is released without an attempt."""
        token = self._tokens.pop(run_id, None)
        if token is not None:
            self.index.append(index.DROPPED, run_id, {"token": token})
