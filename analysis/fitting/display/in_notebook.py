"""Display of a result: one line as text, and in a notebook as on the terminal (modules above are imported by name)."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from analysis.fitting.display.plain import plain

PAGE, LINE = "analysis.commands.notebook", "analysis.commands.one_line"


class InNotebook:
    """A result with a one-line repr and the terminal's display in a notebook; to_dict returns all of it."""

    def __repr__(self) -> str:
        return str(import_module(LINE).one_line(self))

    def _repr_html_(self) -> str:
        return str(import_module(PAGE).html(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dict(plain(self))

    def to_json(self) -> str:
        """Return to_dict as JSON text."""
        return json.dumps(plain(self.to_dict()), indent=2)
