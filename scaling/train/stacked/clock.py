"""The time of runs that share a device: each second is divided among the runs trained in it."""

from __future__ import annotations

from time import monotonic


class SharedClock:
    """Seconds of one of `members` runs: it goes the slower, the more there are."""

    def __init__(self, members: int) -> None:
        self._members, self._shared, self._at = max(1, members), 0.0, monotonic()

    def __call__(self) -> float:
        """Return the seconds of each run so far."""
        now = monotonic()
        self._shared += (now - self._at) / self._members
        self._at = now
        return self._shared

    def leave(self, members: int) -> None:
        """Divide what follows among so many fewer."""
        self()
        self._members = max(1, self._members - members)
