"""What a result shows in a notebook: what the terminal shows of it, made by a module above it, named here as text."""

from __future__ import annotations

from importlib import import_module

PAGE = "analysis.commands.notebook"


class InNotebook:
    """A result that a notebook shows as the terminal does."""

    def _repr_html_(self) -> str:
        return str(import_module(PAGE).html(self))
