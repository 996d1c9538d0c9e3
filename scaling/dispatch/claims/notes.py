"""What a worker writes into the index of what it does, for those who would else have to look at every run."""

from __future__ import annotations

from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.queue import Entry
from scaling.dispatch.states import index
from scaling.dispatch.states.attempts import Attempt
from scaling.dispatch.states.index import Index


def note_claim(to: Index, entry: Entry, claim: Claim) -> None:
    """Note that a run is taken, and what it is forecast to cost."""
    facts = {"token": claim.token, "since": claim.since, "gpus": claim.gpus, "C": entry.C}
    to.append(index.CLAIMED, entry.run_id, {**facts, "seconds": entry.forecast_seconds})


def note_attempt(to: Index, run_id: str, attempt: Attempt, token: str) -> None:
    """Note that an attempt has ended, which the claim with this token was of, and what it has cost."""
    to.append(index.TRIED, run_id, {"token": token, "gpu_seconds": attempt.gpu_seconds})
