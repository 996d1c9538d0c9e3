"""The laws of a report, its isoFLOP minima and its allocations, as text tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.estimates.allocate import Approach
from analysis.figures.equation import as_html, equation, without_markup
from analysis.fitting.card import signed_rows
from analysis.numbers import count, exponent, flops, interval, measured
from analysis.report.law_results import GroupResults
from analysis.report.tables.text_table import TextTable


def tables_of_laws(groups: Sequence[GroupResults]) -> Iterator[TextTable]:
    """Yield the table of all laws, then the minima and the allocation of each group."""
    for group in groups:
        suffix, of = suffix_of(group, groups), f": {group.title}" if len(groups) > 1 else ""
        if group.laws:
            heads = ("fit of", "law", "equation", "parameter", "value", "points", "status", "because")
            note = "Values with their intervals; an exponent is that of the variable itself."
            yield TextTable(f"laws{suffix}", f"Laws{of}", heads, tuple(_law_rows(group)), (4, 5), note)
        for y, found in group.minima.items():
            columns = ("budget (FLOPs)", "best N", "best D", y, "N within 1 %", "status")
            minima = tuple(
                (
                    flops(one.budget),
                    f"{count(one.N)} {interval(one.N_interval, count)}".strip(),
                    count(one.D),
                    measured(one.y),
                    interval(one.bands.get("1%"), count),
                    one.status,
                )
                for one in found.minima
            )
            yield TextTable(f"minima_{y}{suffix}", f"Minima at equal compute, {y}{of}", columns, minima, (0, 1, 2, 3))
        if group.allocation:
            yield _allocation(group.allocation.approaches, f"optimum{suffix}", of)


def suffix_of(group: GroupResults, groups: Sequence[GroupResults]) -> str:
    """Return the suffix of a group's table names; empty if there is only one group."""
    return f"_{next(i for i, one in enumerate(groups, 1) if one is group)}" if len(groups) > 1 else ""


def _law_rows(group: GroupResults) -> Iterator[tuple[str, ...]]:
    """Yield one line per parameter, or a single one for a refused law."""
    for result in group.laws:
        fit = result.fit
        if fit is None:
            yield (result.title, result.law, "", "", "", "", "refused", result.refusal)
            continue
        remarks = "; ".join([*fit.certificate.reasons, *(result.remarks if result.at_edges else ())])
        written = without_markup(as_html(equation(fit, result.x or "")))
        for name, value, ends in signed_rows(fit):
            head = (result.title, result.law, written, name)
            yield (*head, f"{value} {ends}".rstrip(), count(fit.n_points), result.status, remarks)


def _allocation(approaches: Sequence[Approach], name: str, of: str) -> TextTable:
    targets = next((one.targets for one in approaches if one.targets), ())
    at = [f"{symbol} at C = {flops(target.C)}" for target in targets for symbol in ("N*", "D*")]
    rows = []
    for one in approaches:
        best = [
            f"{count(value)} {interval(ends, count)}".rstrip()
            for target in one.targets
            for value, ends in ((target.N, target.N_interval), (target.D, target.D_interval))
        ]
        exponents = [
            f"{exponent(value)} {interval(ends, exponent)}".rstrip()
            for value, ends in ((one.N_exponent, one.N_exponent_interval), (one.D_exponent, one.D_exponent_interval))
        ]
        cells = [*exponents, *best] if one.status == "ok" else [""] * (2 + len(at))
        rows.append((one.title, *cells, *[""] * (2 + len(at) - len(cells)), *_judged(one)))
    heads = ("approach", "exponent of N*", "exponent of D*", *at, "status", "because")
    right = tuple(range(1, 3 + len(at)))
    return TextTable(name, f"How to split compute between N and D{of}", heads, tuple(rows), right)


def _judged(one: Approach) -> tuple[str, str]:
    """Return the status of an approach with its reasons: weak where its minima or its law are."""
    weak = [text.partition(": ")[2] for text in one.warnings if text.startswith("weak")]
    return ("weak", "; ".join(weak)) if weak else (one.status, one.reason)
