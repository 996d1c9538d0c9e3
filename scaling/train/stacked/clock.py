"""The time of runs that share a device: each second is divided among the runs trained in it."""

from __future__ import annotations

from time import monotonic


class SharedClock:
    """A clock that runs slower by the number of members."""

    def __init__(self, members: int) -> None:
        self._members, self._shared, self._at = max(1, members), 0.0, monotonic()

    def __call__(self) -> float:
        """Return each run's share of the seconds so far."""
        now = monotonic()
        self._shared += (now - self._at) / self._members
        self._at = now
        return self._shared

    def leave(self, members: int) -> None:
        """Divide later seconds among fewer runs, since `members` of them have ended."""
        self()
        self._members = max(1, self._members - members)
