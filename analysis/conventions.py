"""Two ways to count N and C, ours and the reference paper's, and what the choice does to an exponent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from analysis.errors import Refusal, UserError
from analysis.frontier import Frontier, frontier

if TYPE_CHECKING:
    from analysis.powerline import PowerLine
    from analysis.result import Fit

T = TypeVar("T")
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


def best_law(front: Frontier, *, resamples: int = 1000, level: float = 0.95) -> Fit | None:
    """Fit the frontier's law: the most detailed one whose certificate is ok, else a power law.

    Tried in order: E + a (b + C)^-alpha, the paper's; E + a C^-alpha; a C^-alpha.
    """
    from analysis.fitting import fit

    # The points are means, the best of many: least squares, as for the frontier's laws elsewhere.
    options: dict[str, Any] = {"y": front.y, "x": front.x, "objective": "lsq", "resamples": resamples, "level": level}
    plain = None
    for law in ("shifted", "saturating", "power"):
        found = tried(lambda law=law: fit(front.table(), law=law, **options))  # type: ignore[misc]
        if found is None:
            continue
        if found.certificate.status == "ok" and _has_floor(found, front):
            return found
        plain = found
    return plain if plain is not None and plain.law == "power" else None


def _has_floor(found: Fit, front: Frontier) -> bool:
    """Tell a law without a floor, or with one above zero that the best points do not lie clearly below."""
    E = found.params.get("E")
    if E is None:
        return True
    low = found.intervals["E"][0] if "E" in found.intervals else E
    return E > 0 and low <= min(point.y for point in front.points)


def tried(call: Callable[[], T]) -> T | None:
    """Return what `call` returns, None where the data cannot say."""
    try:
        return call()
    except (Refusal, UserError):
        return None


@dataclass(frozen=True)
class Exponents:
    """A frontier under one convention, and the law through it: the most detailed that holds (`best_law`)."""

    convention: Convention
    front: Frontier
    law: Fit | None

    @property
    def lines(self) -> tuple[PowerLine | None, PowerLine | None, PowerLine | None]:
        """Return the lines in log-log of y, of the best N and of the best D; None where there are too few points."""
        return self.front.line, self.front.N_line, self.front.D_line


def exponents(rows: pd.DataFrame, y: str, *, resamples: int = 1000, level: float = 0.95) -> list[Exponents]:
    """Return a frontier's exponents under each convention that the rows have and that has a frontier."""
    found = (exponents_under(c, rows, y, resamples=resamples, level=level) for c in known(rows))
    return [one for one in found if one is not None]


def exponents_under(
    convention: Convention, rows: pd.DataFrame, y: str, *, resamples: int = 1000, level: float = 0.95
) -> Exponents | None:
    """Return a frontier's exponents under one convention; None where there is no frontier."""
    front = tried(lambda: frontier(under(rows, convention), y=y, resamples=resamples, level=level))
    return Exponents(convention, front, best_law(front, resamples=resamples, level=level)) if front else None
