"""Two ways to count N and C, ours and the reference paper's, and what the choice does to an exponent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError
from analysis.estimates.frontier import Frontier, frontier

if TYPE_CHECKING:
    from analysis.estimates.powerline import PowerLine
    from analysis.fitting.result import Fit

T = TypeVar("T")
VISIBLE = 0.01
"""Share of the least compute on a frontier above which the shift b of its law must surely lie to be one."""

NORM_FLOPS = 5
"""Operations that the paper counts for each element of a LayerNorm (arXiv 2306.13575)."""


@dataclass(frozen=True)
class Convention:
    """Which columns stand for N and C, and how to say so."""

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

    A table without widths and depths, or of other families, stays as it is.
    """
    if "C_paper" in table.columns or not {"family", "width", "depth", "C", "D"} <= set(table.columns):
        return table
    if not table["family"].isin(("mlp", "bottleneck")).all():
        return table
    width, depth, C, D = (pd.to_numeric(table[name]) for name in ("width", "depth", "C", "D"))
    return table.assign(C_paper=C / 2 + 3 * NORM_FLOPS * width * depth * D)


def known(table: pd.DataFrame) -> list[Convention]:
    """Return the conventions that a table has the columns of."""
    return [c for c in (OURS, PAPER) if {c.N, c.C} <= set(table.columns)]


def under(rows: pd.DataFrame, convention: Convention) -> pd.DataFrame:
    """Return the rows with N and C as the convention counts them."""
    return rows.assign(N=pd.to_numeric(rows[convention.N]), C=pd.to_numeric(rows[convention.C]))


def as_the_paper_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the paper's N and C; `UserError` where it has not what they are counted from."""
    counted = with_paper_columns(table)
    missing = [name for name in (PAPER.N, PAPER.C) if name not in counted.columns]
    if missing:
        raise UserError(
            f"found no {missing[0]} and nothing to count it from; wanted N_total, and for C_paper the columns width, "
            "depth, C and D of families mlp and bottleneck"
        )
    return under(counted, PAPER)


def common_law(fronts: Sequence[Frontier], *, resamples: int = 1000, level: float = 0.95) -> list[Fit | None]:
    """Fit one law to frontiers that are to be compared: the most detailed that holds on all of them, else a power law.

    Tried in order: E + a (b + C)^-alpha, the paper's; E + a C^-alpha; a C^-alpha. Exponents of different laws would say
    nothing of each other.
    """
    from analysis.fitting.fit import fit

    # The points are means, the best of many: least squares, as for the frontier's laws elsewhere.
    options: dict[str, Any] = {"objective": "lsq", "resamples": resamples, "level": level}

    def fitted(law: str, front: Frontier) -> Fit | None:
        return tried(partial(fit, front.table(), law=law, y=front.y, x=front.x, **options))

    for law in ("shifted", "saturating"):
        found = list(takewhile(bool, (one if _holds(one := fitted(law, front), front) else None for front in fronts)))
        if len(found) == len(fronts):
            return found
    return [fitted("power", front) for front in fronts]


def _holds(found: Fit | None, front: Frontier) -> bool:
    """Tell a law with a sound certificate whose floor and shift the best points show."""
    if found is None or found.certificate.status != "ok":
        return False
    E, least = found.params["E"], {name: interval[0] for name, interval in found.intervals.items()}
    floor = E > 0 and least.get("E", E) <= min(point.y for point in front.points)
    return floor and least.get("b", np.inf) > VISIBLE * front.points[0].x


def tried(call: Callable[[], T]) -> T | None:
    """Return what `call` returns, None where the data cannot say."""
    try:
        return call()
    except (Refusal, UserError):
        return None


@dataclass(frozen=True)
class Exponents:
    """A frontier under one convention, and the law through it (`common_law`)."""

    convention: Convention
    front: Frontier
    law: Fit | None

    @property
    def lines(self) -> tuple[PowerLine | None, PowerLine | None, PowerLine | None]:
        """Return the lines in log-log of y, of the best N and of the best D; None where there are too few points."""
        return self.front.line, self.front.N_line, self.front.D_line


def exponents(rows: pd.DataFrame, y: str, *, resamples: int = 1000, level: float = 0.95) -> list[Exponents]:
    """Return a frontier's exponents under each convention that the rows have, all by one law."""
    return compared([(c, under(rows, c)) for c in known(rows)], y, resamples=resamples, level=level)


def compared(
    groups: Sequence[tuple[Convention, pd.DataFrame]], y: str, *, resamples: int = 1000, level: float = 0.95
) -> list[Exponents]:
    """Return the exponents of several groups of rows, each counted by its convention; one law for all.

    Groups without a frontier are left out.
    """
    found = []
    for convention, rows in groups:
        front = tried(lambda rows=rows: frontier(rows, y=y, resamples=resamples, level=level))  # type: ignore[misc]
        if front is not None:
            found.append((convention, front))
    laws = common_law([front for _, front in found], resamples=resamples, level=level)
    return [Exponents(convention, front, law) for (convention, front), law in zip(found, laws, strict=True)]
