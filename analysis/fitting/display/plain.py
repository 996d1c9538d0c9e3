"""Results as plain JSON types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np


class PlainData:
    """A dataclass that converts to JSON: all fields except those hidden from its repr."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {one.name: plain(getattr(self, one.name)) for one in fields(self) if one.repr}  # type: ignore[arg-type]

    def to_json(self) -> str:
        """Return to_dict as JSON text."""
        return json.dumps(plain(self.to_dict()), indent=2)


def plain(value: Any) -> Any:
    """Convert dataclasses, arrays and tuples to JSON types; non-finite numbers become None."""
    if isinstance(value, PlainData):
        return plain(value.to_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
