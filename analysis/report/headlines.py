"""The few results that stand in large type at the top of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.numbers import exponent, interval, number
from analysis.report.law_results import Claim, Findings

TOO_MANY_EDGES = 2 / 3
"""Share of frontier points at an edge of the sizes from which its law is no headline: the grid's, not the task's."""
KNOWN = 4.0
"""Largest over smallest end of an exponent's interval from which it is no headline."""


@dataclass(frozen=True)
class Headline:
    """One result in large type: what, how much, how sure."""

    what: str
    value: str
    interval: str
    status: str
    note: str


def headlines(findings: Sequence[Findings]) -> list[Headline]:
    """Choose the few results that a reader looks for first."""
    lines = []
    for group in findings:
        name = f" ({group.title})" if len(findings) > 1 else ""
        for y in ("loss", "error"):
            front, claim = group.frontiers.get(y), group.drawn(y)
            if front and front.line and claim and claim.fit and front.share_at_edge < TOO_MANY_EDGES:
                power = front.line.exponent_interval if claim.law == "power" else None
                ends = _wider(power, claim.fit.intervals.get("alpha"))
                sure = front.share_at_edge == 0
                lines.append(_headline(f"best {y} falls as{name}", claim, ends, sure=sure))
        valleys = group.valleys.get("loss")
        if valleys and valleys.N_law:
            law = valleys.N_law
            note = f"{len(valleys.usable)} of {len(valleys.valleys)} minima"
            said = interval(law.exponent_interval, exponent)
            lines.append(Headline(f"best size grows as{name}", f"C<sup>{exponent(law.exponent)}</sup>", said, "", note))
        for x in ("D", "D_unique", "N") if not group.valleys else ():
            claim = next((group.drawn("loss", sweep) for sweep in reversed(group.sweeps[x])), None)
            if claim and claim.fit and claim.sweep:
                ends = _wider(None, claim.fit.intervals.get("alpha"))
                if ends and not _known(ends):
                    continue
                lines.append(_headline(f"loss at {claim.sweep.words}{name}", claim, ends))
    return lines[:8]


def _known(ends: tuple[float, float]) -> bool:
    """Tell an exponent that is known to a factor of `KNOWN`, sign included."""
    low, high = sorted(map(abs, ends))
    return ends[0] * ends[1] > 0 and high <= KNOWN * low


def _headline(what: str, claim: Claim, ends: tuple[float, float] | None, *, sure: bool = True) -> Headline:
    assert claim.fit
    value = f"{str(claim.x).replace('D_unique', 'D<sub>unique</sub>')}<sup>{exponent(-claim.fit.params['alpha'])}</sup>"
    floor = claim.fit.params.get("E", 0.0)
    note = f"above a floor of {number(floor)} {interval(claim.fit.intervals.get('E'))}" if floor else ""
    return Headline(what, value, interval(ends, exponent), claim.fit.certificate.status if sure else "weak", note)


def _wider(exponent: tuple[float, float] | None, alpha: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the wider of an interval of an exponent and one of its negative, as the exponent's."""
    mirrored = (-alpha[1], -alpha[0]) if alpha else None
    return max((ends for ends in (exponent, mirrored) if ends), key=lambda ends: ends[1] - ends[0], default=None)
