"""How a result shows itself: in one line, and in a notebook as on the terminal, by modules above it named as text."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from analysis.fitting.display.plain import plain

PAGE, LINE = "analysis.commands.notebook", "analysis.commands.one_line"


class InNotebook:
    """A result that shows itself briefly, and in a notebook as the terminal does; to_dict is all of it, plain."""

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
