"""Display of a result: one line as text, and in a notebook as on the terminal (modules above are imported by name)."""

from __future__ import annotations

from importlib import import_module

from analysis.fitting.display.plain import PlainData

PAGE, LINE = "analysis.commands.notebook", "analysis.commands.one_line"


class InNotebook(PlainData):
    """A result with a one-line repr and the terminal's display in a notebook; to_dict returns all of it."""

    def __repr__(self) -> str:
        return str(import_module(LINE).one_line(self))

    def _repr_html_(self) -> str:
        return str(import_module(PAGE).html(self))
