"""The main results at the top of a report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import pandas as pd

from analysis.estimates.tuning.trials import tuned_rates
from analysis.fitting.result import Fit
from analysis.numbers import exponent, interval, number, percent
from analysis.report.law_results import JOINT, GroupResults, LawResult

TOO_MANY_EDGES = 2 / 3
"""Share of points at the smallest or largest size from which a frontier gets no headline, as the grid limits it."""
KNOWN = 4.0
"""Maximum ratio of the ends of an exponent's interval in a headline."""

FEWEST = 3
"""Minimum number of values of N and of D for identifying an exponent and a floor separately."""
ANSWERED = 3
"""Maximum number of groups named in the answer; the others have cards."""

SIZE = ("best size grows as", "best size shrinks as")
"""Names of the result on the optimal size, for a positive and a negative exponent of C."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Headline:
    """One main result: its name, value and uncertainty. of: the group of runs, if there are several.

    floor: the floor of its law, "" where it has none.
    """

    what: str
    value: str
    interval: str
    status: str
    note: str
    of: str = ""
    floor: str = ""

    @property
    def together(self) -> str:
        """Return the value with its interval behind it, or each of several with its own."""
        values, ends = self.value.split(", "), re.findall(r"\[.*?\]", self.interval)
        if len(values) != len(ends):
            return f"{self.value} {self.interval}".rstrip()
        return ", ".join(f"{value} {interval}" for value, interval in zip(values, ends, strict=True))


def headlines(groups: Sequence[GroupResults]) -> list[Headline]:
    """Choose the few most important results."""
    lines: list[Headline] = []
    for group in groups:
        found = [*_of_frontiers(group), *_of_minima(group), *_of_slices(group)]
        sized = any(line.what in SIZE for line in found)
        joint = [line for line in _of_joint(group) if not (sized and line.what in SIZE)]
        falls = any(line.what.startswith("best") for line in found)
        own = [*found, *joint[1:]] if falls else [*joint, *found]
        lines += [replace(line, of=group.title) for line in own] if len(groups) > 1 else own
    return lines[:8]


def answer(lines: Sequence[Headline]) -> str:
    """Return HTML sentences that answer a sweep's question: how the loss falls, and how the optimal size grows.

    If there are several groups of runs, one for each of the first three.
    """
    groups = list(dict.fromkeys(line.of for line in lines))[:ANSWERED]
    return " ".join(_sentence([line for line in lines if line.of == of], of) for of in groups)


def _sentence(lines: Sequence[Headline], of: str) -> str:
    chosen = [*lines[:1], *(line for line in lines[1:] if line.what in SIZE)][:2]
    parts = []
    for line in chosen:
        verdict = f' <span class="pill {line.status}">{line.status}</span>' if line.status else ""
        floor = f" {line.floor}" if line.floor else ""
        parts.append(f"{escape(line.what)} <b>{line.together}</b>{floor}{verdict}")
    return f"{escape(of)}: the {', and the '.join(parts)}." if of else f"The {', and the '.join(parts)}."


def tuned_headlines(table: pd.DataFrame) -> list[Headline]:
    """Return the dependence of the best learning rate on N and D for a table of tuning runs; else nothing."""
    rates = tuned_rates(table)
    law = rates[0].laws[0] if rates else None
    if rates is None or law is None:
        return []
    value = ", ".join(f"{name}<sup>{exponent(slope)}</sup>" for name, slope in law.exponents.items())
    ends = _of_each({name: law.intervals.get(name) for name in law.exponents})
    cost = f"; a factor of two costs {percent(rates[0].cost[0])}" if rates[0].cost else ""
    return [Headline("best learning rate moves as", value, ends, "", f"{law.n} optima{cost}")]


def _of_frontiers(group: GroupResults) -> Iterator[Headline]:
    for y in ("loss", "error"):
        front, result = group.frontiers.get(y), group.shown(y)
        if front and front.line and result and result.fit and front.share_at_edge < TOO_MANY_EDGES:
            yield _headline(f"best {y}", result)


def _of_minima(group: GroupResults) -> Iterator[Headline]:
    found = group.minima.get(group.y)
    if found and found.N_law:
        slope, ends = exponent(found.N_law.exponent), interval(found.N_law.exponent_interval, exponent)
        bend = ", which bend away from a power of C" if found.N_law.bend else ""
        note = f"{len(found.usable)} of {len(found.minima)} minima{bend}"
        yield Headline(SIZE[found.N_law.exponent < 0], f"C<sup>{slope}</sup>", ends, found.status, note)


def _of_joint(group: GroupResults) -> Iterator[Headline]:
    """Yield the law in N and D and the optimal size that it implies, where there is no other allocation."""
    result = group.law(JOINT, group.y)
    if result is None or result.fit is None:
        return
    if min(group.used["N"].nunique(), group.used["D"].nunique()) < FEWEST:
        return
    fit, status = result.fit, result.status
    powers = [(symbol, fit.params[law], fit.intervals.get(law)) for symbol, law in (("N", "alpha"), ("D", "beta"))]
    value = ", ".join(f"{symbol}<sup>{exponent(-slope)}</sup>" for symbol, slope, _ in powers)
    ends = _of_each({symbol: (-ends[1], -ends[0]) if ends else None for symbol, _, ends in powers})
    floor = _floor(fit)
    note = floor or "no floor in these data"
    yield Headline(f"{group.y} in N and D falls as", value, ends, status, note, floor=floor)
    if fit.allocation:
        best = fit.allocation
        value, ends = f"C<sup>{exponent(best.N_exponent)}</sup>", interval(best.N_exponent_interval, exponent)
        yield Headline(SIZE[best.N_exponent < 0], value, ends, status, "as the law of N and D implies")


def _of_each(intervals: Mapping[str, Interval | None]) -> str:
    """Write intervals, each after its variable if there are several: N [−0.491, −0.220], D [−0.610, −0.200]."""
    known = {name: interval(ends, exponent) for name, ends in intervals.items() if ends}
    return ", ".join(f"{name} {text}" if len(intervals) > 1 else text for name, text in known.items())


def _of_slices(group: GroupResults) -> Iterator[Headline]:
    """Yield the law of the last slice along each variable whose exponent is identified."""
    for x in group.slices if not group.minima else ():
        result = next((group.shown(group.y, one) for one in reversed(group.slices[x])), None)
        if result and result.fit and result.slice and _known(_slope(result.fit)[1]):
            at = f" at {result.slice.words}" if result.slice.words else ""
            yield _headline(f"{group.y}{at}", result)


def _known(ends: Interval | None) -> bool:
    """Tell whether an exponent's interval has one sign and spans at most a factor KNOWN; True without an interval."""
    if ends is None:
        return True
    low, high = sorted(map(abs, ends))
    return ends[0] * ends[1] > 0 and high <= KNOWN * low


def _headline(response: str, result: LawResult) -> Headline:
    """Return the headline of a one-variable law of a response, such as "best loss"."""
    assert result.fit
    slope, ends = _slope(result.fit)
    what = f"{response} {'rises' if slope > 0 else 'falls'} as"
    value = f"{str(result.x).replace('D_unique', 'D<sub>unique</sub>')}<sup>{exponent(slope)}</sup>"
    floor = _floor(result.fit)
    note = ", ".join(filter(None, (floor, result.fit.certificate.backtest)))
    return Headline(what, value, interval(ends, exponent), result.status, note, floor=floor)


def _floor(fit: Fit) -> str:
    """Write the floor of a law with its interval; "" if it has none, or none above zero."""
    floor = fit.params["E"] if fit.engine.problem.law.floor else 0.0
    return f"above a floor of {number(floor)} {interval(fit.intervals.get('E'))}".rstrip() if floor > 0 else ""


def _slope(fit: Fit) -> tuple[float, Interval | None]:
    """Return the (negative) power of the variable in a one-variable law, and its interval."""
    name = fit.engine.problem.law.exponent
    assert name is not None
    ends = fit.intervals.get(name)
    return -fit.params[name], (-ends[1], -ends[0]) if ends else None
