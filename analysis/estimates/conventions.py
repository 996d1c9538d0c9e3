"""Two conventions for counting N and C, ours and the reference paper's, and their effect on an exponent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from analysis.errors import UserError, attempt
from analysis.estimates.frontier import Frontier, frontier
from analysis.estimates.frontier_law import common_law

if TYPE_CHECKING:
    from analysis.estimates.powerline import PowerLine
    from analysis.fitting.result import Fit

NORM_FLOPS = 5
"""Operations that the paper counts per element of a LayerNorm (arXiv 2306.13575)."""


@dataclass(frozen=True)
class Convention:
    """A counting convention: the columns for N and C, and its description."""

    name: str
    N: str
    C: str
    N_label: str
    C_label: str


OURS = Convention("ours", "N", "C", "weights N", "training compute C (FLOPs)")
PAPER = Convention(
    "the paper's", "N_total", "C_paper", "all parameters P", "training compute (multiply-adds counted once)"
)


def with_paper_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Add C_paper: 3 x (multiply-adds counted once + 5 per normalised element) x D, for blocks with one norm each.

    A table without widths and depths, or of other families, is returned unchanged.
    """
    if "C_paper" in table.columns or not {"family", "width", "depth", "C", "D"} <= set(table.columns):
        return table
    if not table["family"].isin(("mlp", "bottleneck")).all():
        return table
    width, depth, C, D = (pd.to_numeric(table[name]) for name in ("width", "depth", "C", "D"))
    return table.assign(C_paper=C / 2 + 3 * NORM_FLOPS * width * depth * D)


def conventions_of(table: pd.DataFrame) -> list[Convention]:
    """Return the conventions whose columns are in a table."""
    return [c for c in (OURS, PAPER) if {c.N, c.C} <= set(table.columns)]


def counted_by(rows: pd.DataFrame, convention: Convention) -> pd.DataFrame:
    """Return the rows with N and C as the convention counts them."""
    return rows.assign(N=pd.to_numeric(rows[convention.N]), C=pd.to_numeric(rows[convention.C]))


def as_the_paper_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the paper's N and C; raise `UserError` if the columns to compute them are missing."""
    counted = with_paper_columns(table)
    missing = [name for name in (PAPER.N, PAPER.C) if name not in counted.columns]
    if missing:
        raise UserError(
            f"found no {missing[0]} and nothing to count it from; wanted N_total, and for C_paper the columns width, "
            "depth, C and D of families mlp and bottleneck"
        )
    return counted_by(counted, PAPER)


@dataclass(frozen=True)
class Exponents:
    """A frontier under one convention, and the law fitted to it (the same law for all compared)."""

    convention: Convention
    front: Frontier
    law: Fit | None

    @property
    def weak(self) -> bool:
        """Tell whether the law is weak, as it is where sizes beyond the grid might be better."""
        return self.law is not None and (self.law.certificate.status == "weak" or self.front.share_at_edge > 0)

    @property
    def lines(self) -> tuple[PowerLine | None, PowerLine | None, PowerLine | None]:
        """Return the log-log lines of y, optimal N and optimal D; None for one with too few points.

        The line of y has the interval of the law, where that is a power law.
        """
        line = self.front.line
        if line and self.law and self.law.law == "power" and "alpha" in self.law.intervals:
            low, high = self.law.intervals["alpha"]
            line = replace(line, exponent_interval=(-high, -low))
        return line, self.front.N_line, self.front.D_line


def exponents(rows: pd.DataFrame, y: str, *, resamples: int = 1000, level: float = 0.95) -> list[Exponents]:
    """Return a frontier's exponents under each convention available in the rows, all with the same law."""
    return compare_exponents(
        [(c, counted_by(rows, c)) for c in conventions_of(rows)], y, resamples=resamples, level=level
    )


def compare_exponents(
    groups: Sequence[tuple[Convention, pd.DataFrame]], y: str, *, resamples: int, level: float
) -> list[Exponents]:
    """Return the exponents of several groups of rows, each with its convention, all with the same law.

    Groups without a frontier are left out.
    """
    found = []
    for convention, rows in groups:
        front, _ = attempt(partial(frontier, rows, y=y, resamples=resamples, level=level))
        if front is not None:
            found.append((convention, front))
    laws = common_law([front for _, front in found], resamples=resamples, level=level)
    return [Exponents(convention, front, law) for (convention, front), law in zip(found, laws, strict=True)]
