"""Digests of the data and code of a run: recorded, and compared with the present ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaling.content.digest import joined


@dataclass(frozen=True)
class Content:
    """Digests of the data, of the files of a stage and of the user's own code; "" if unknown or without files.

    kwargs: of a user's module, where a run's id takes 2 and 2.0 for one number; parent: of all this of the run that a
    stage starts from.
    """

    data: str = ""
    files: str = ""
    code: str = ""
    kwargs: str = ""
    parent: str = ""

    @property
    def digest(self) -> str:
        """One digest of all, "" if none is known."""
        return joined(f"{name} {value}" for name, value in self.to_dict().items())

    def to_dict(self) -> dict[str, str]:
        """Return the known digests by name."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Content:
        """Read digests by name; unknown names are ignored."""
        return cls(**{name: str(raw[name]) for name in cls.__dataclass_fields__ if raw.get(name)})

    def differs(self, other: Content) -> tuple[str, ...]:
        """Return the names of digests that are known on both sides and differ."""
        mine, theirs = self.to_dict(), other.to_dict()
        return tuple(name for name in mine if name in theirs and mine[name] != theirs[name])


NOTHING_KNOWN = Content()
