"""The shape of isoFLOP curves that a fitted Chinchilla law implies."""

from __future__ import annotations

import pandas as pd

from analysis.estimates.selected import fit_selected
from analysis.estimates.valleys.curve import Shape
from analysis.fitting.result import Fit


def shape_of(law: Fit) -> Shape:
    """Return the shape of the isoFLOP curves of a fitted Chinchilla law."""
    return Shape(law.params["alpha"], law.params["beta"])


def fitted_shape(rows: pd.DataFrame, y: str) -> Shape:
    """Fit the Chinchilla law to the selected rows, and return the shape of its isoFLOP curves."""
    return shape_of(fit_selected(rows, "chinchilla", y=y, resamples=0))
