"""The laws, by name. A new law is one entry of `LAWS`."""

from __future__ import annotations

from analysis.errors import UserError
from analysis.laws.base import Law
from analysis.laws.joint import CHINCHILLA
from analysis.laws.one import POWER, SATURATING, SHIFTED

LAWS: dict[str, Law] = {law.name: law for law in (POWER, SATURATING, SHIFTED, CHINCHILLA)}


def get_law(law: str | Law) -> Law:
    """Return the law of that name; a law passes through. Raises `UserError` that lists the names."""
    if isinstance(law, Law):
        return law
    if law in LAWS:
        return LAWS[law]
    raise UserError(f"found the law {law!r}; wanted one of {', '.join(LAWS)}")


__all__ = ["LAWS", "Law", "get_law"]
