"""The coordinate check: change of each layer's outputs after a few steps, against width."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.errors import UserError
from analysis.figures.style import HUES, MARKERS, legend, log_axes, margins
from analysis.files import read_file
from analysis.numbers import exponent
from analysis.table.columns import require_columns


@dataclass(frozen=True)
class LayerLine:
    """One layer: widths, mean change of its outputs over seeds, and the log-log slope."""

    layer: str
    width: np.ndarray
    change: np.ndarray
    slope: float


@dataclass(frozen=True)
class ActivationNumbers:
    """The figure's numbers for one parametrisation after `step` steps."""

    param: str
    step: int
    lines: tuple[LayerLine, ...]


COLUMNS = ("param", "width", "step", "layer", "change")


def read_activations(path: Path) -> pd.DataFrame:
    """Read an activations.csv of `scaling measure --activations`; raise `UserError` for anything else."""
    try:
        rows = pd.read_csv(io.BytesIO(read_file(path)))
    except (OSError, ValueError) as error:
        raise UserError(f"found {path}, which cannot be read ({error}); measure again") from error
    require_columns(rows, ["width", "step", "change"])
    if rows.empty or not {*COLUMNS} <= {*rows.columns}:
        raise UserError(f"found {path} without rows of {', '.join(COLUMNS)}; measure again")
    return rows


def activation_numbers(rows: pd.DataFrame) -> list[ActivationNumbers]:
    """Collect the numbers of each parametrisation after the last step."""
    last = rows[rows["step"] == rows["step"].max()]
    step, found = int(rows["step"].max()), []
    for param, group in last.groupby("param", sort=False):
        lines = tuple(_line(layer, own) for layer, own in group.groupby("layer", sort=False))
        found.append(ActivationNumbers(str(param), step, lines))
    return found


def _line(layer: object, rows: pd.DataFrame) -> LayerLine:
    means = rows.groupby("width")["change"].mean()
    width, change = means.index.to_numpy(float), means.to_numpy(float)
    known = change > 0
    slope = float(np.polyfit(np.log(width[known]), np.log(change[known]), 1)[0]) if known.sum() > 1 else float("nan")
    return LayerLine(str(layer), width, change, slope)


def draw_activations(ax: Axes, numbers: ActivationNumbers) -> None:
    """Draw one line per layer; the legend gives the power of width by which its change grows."""
    for i, line in enumerate(numbers.lines):
        look: dict[str, Any] = {"color": HUES[i % len(HUES)], "marker": MARKERS[i % len(MARKERS)]}
        ax.plot(line.width, line.change, label=f"{line.layer}: width^{exponent(line.slope)}", **look)
    width, change = (np.concatenate([getattr(line, name) for line in numbers.lines]) for name in ("width", "change"))
    margins(ax, width, change, 0.1)
    log_axes(ax)
    ax.set(xlabel="width", ylabel=f"change of outputs after {numbers.step} steps (rms)", title=numbers.param)
    legend(ax, "best")
