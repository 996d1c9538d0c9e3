"""Words that captions share."""

from __future__ import annotations

import pandas as pd

from analysis.table.cells import has_repeats


def points_of(rows: pd.DataFrame, *, ranges: bool = False) -> str:
    """Say what a figure's points are: means over seeds (ranges: with their range), or single runs."""
    if not has_repeats(rows):
        return "Single runs"
    return f"Means over {'seeds' if 'seed' in rows.columns else 'repeats'}" + (" with their range" if ranges else "")


def lowered(text: str) -> str:
    """Return a text that begins with a small letter."""
    return text[:1].lower() + text[1:]
