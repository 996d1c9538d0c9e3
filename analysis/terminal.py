"""Print results: rich tables on a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from analysis.console import console
from analysis.estimates.lifetime_cost.model_cost import FLOPS
from analysis.fitting.card import card_text, signed_rows, write_parameter
from analysis.numbers import count, duration, entry, exponent, flops, interval, measured, number, percent, shift, times
from analysis.terminal_table import table
from analysis.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.estimates.allocate import ApproachComparison
    from analysis.estimates.backtest import Backtest
    from analysis.estimates.forecast import Forecast
    from analysis.estimates.frontier import Frontier
    from analysis.estimates.isoflop import IsoFlop
    from analysis.estimates.lifetime_cost.lifetime import Lifetime
    from analysis.estimates.multiverse import Multiverse
    from analysis.estimates.powerline import PowerLine
    from analysis.estimates.task_forecast.chained import Chained
    from analysis.estimates.tuning.mistuning import Mistuning
    from analysis.estimates.tuning.optima import Tuned
    from analysis.fitting.certificate import Certificate
    from analysis.fitting.result import Fit
    from analysis.laws import Law

COLOURS = {"ok": "green", "weak": "yellow", "edge": "yellow", "flat": "yellow", "few": "yellow", "refused": "red"}


def status(word: str, reason: str = "") -> Text:
    """Colour a status, followed by its reason."""
    return Text.assemble((word, COLOURS.get(word, "default")), f" {reason}" if reason else "")


def notes(out: Console, texts: Iterable[str]) -> None:
    """Print distinct warnings, one per line."""
    for text in dict.fromkeys(texts):
        out.print(f"[yellow]![/] {escape(text)}")


def show_fit(law: Fit) -> None:
    """Print a fit."""
    out = console()
    formula = law.card.get("formula", "")
    out.print(f"[bold]{escape(law.law)}[/]  {escape(law.y)} = {escape(str(formula))}")
    out.print(table(("parameter", "value", f"{percent(law.level)} interval"), signed_rows(law), right=[1]))
    objective, certificate = law.objective, law.certificate
    out.print(
        f"{counted(law.n_points, 'point')} of {counted(law.n_runs, 'run')}; objective ({objective.name}, "
        f"{objective.space} {escape(law.y)}) {number(objective.value, 6)}; "
        f"certificate {status(certificate.status).markup}: {percent(certificate.share_at_best)} of "
        f"{certificate.starts} starts at the best optimum; {certificate.backtest}"
    )
    notes(out, law.warnings)


def show_certificate(found: Certificate) -> None:
    """Print a verdict with its reasons, and the extrapolation factor at which the hold-out passed."""
    out = console()
    agree = f"{percent(found.share_at_best)} of {found.starts} starts at the best optimum"
    out.print(f"{status(found.status).markup}: {agree}; {found.backtest}")
    notes(out, found.reasons)


def show_card(law: Fit) -> None:
    """Print a fit's card."""
    console().print(card_text(law), markup=False, soft_wrap=True)


def show_multiverse(found: Multiverse, law: Law) -> None:
    """Print a law under every convention."""
    out = console()
    rows = []
    for world in found.worlds:
        named = ", ".join(f"{name} = {column}" for name, column in world.columns.items())
        values = (
            ", ".join(f"{name} {write_parameter(law, name, value)}" for name, value in world.params.items())
            or world.reason
        )
        of_N = exponent(world.N_exponent), interval(world.N_exponent_interval, exponent)
        rows.append((named, *of_N, values, status(world.status)))
    out.print()
    out.print(table(("convention", "N* exponent", "interval", "parameters", ""), rows, right=[1]))


def show_forecasts(found: Sequence[Forecast]) -> None:
    """Print forecasts, one per line."""
    out = console()
    rows = []
    for one in found:
        at = ", ".join(f"{name} = {entry(name, value)}" for name, value in one.at.items())
        beyond = ", ".join(f"{name} {times(factor)}" for name, factor in one.beyond.items())
        ends = (interval(one.mean_interval, measured), interval(one.run_interval, measured))
        rows.append((at, measured(one.value), *ends, beyond, times(one.supported)))
    what, level = f"{found[0].y} ({found[0].law})", percent(found[0].level)
    heads = ("at", what, f"{level} of the mean", "of a new run", "against the largest run", "backtested")
    out.print(table(heads, rows, right=[1], whole=[0]))
    notes(out, (text for one in found for text in one.warnings))


def show_chained(found: Sequence[Chained]) -> None:
    """Print two-step forecasts, one per line."""
    out = console()
    rows = []
    for one in found:
        at = ", ".join(f"{name} = {entry(name, value)}" for name, value in one.at.items())
        first = measured(one.via.value), interval(one.via.mean_interval, measured)
        rows.append((at, *first, measured(one.value), interval(one.interval, measured)))
    one, level = found[0], percent(found[0].level)
    heads = ("at", f"{one.via.y} ({one.via.law})", level, f"{one.y} by it ({one.link})", level)
    out.print(table(heads, rows, right=[1, 3]))
    notes(out, (text for one in found for text in one.warnings))


def show_backtest(found: Backtest) -> None:
    """Print laws ranked by their error on the held-out runs."""
    out = console()
    rows = []
    for score in found.scores:
        factor = max((split.factor for split in score.splits), default=None)
        shares = (percent(score.error), percent(score.coverage)) if score.splits else ("", "")
        rows.append((score.law, *shares, str(len(score.splits)), times(factor)))
    heads = ("law", "held-out error", f"inside {percent(found.level)}", "splits", "times larger")
    out.print(table(heads, rows, right=[1, 2, 3, 4]))
    known = not isnan(found.scores[0].coverage)
    how_far = f", its intervals held for runs up to {times(found.supported)} larger" if known else ""
    out.print(f"cut by {escape(found.by)}; best on held-out runs: [bold]{escape(found.best)}[/]{how_far}")
    notes(out, found.warnings)
    notes(out, (f"{score.law}: {text}" for score in found.scores for text in score.refused))


def show_line(out: Console, name: str, line: PowerLine | None, x: str = "C") -> None:
    """Print a power line."""
    if line is None:
        return
    ends = f" {interval(line.exponent_interval, exponent)}" if line.exponent_interval else ""
    law = f"{number(line.coefficient)} · {escape(x)}^[bold]{exponent(line.exponent)}[/]{ends}"
    out.print(f"{name} = {law}  ({line.n} points, R² {number(line.r2)})")


def show_frontier(found: Frontier, law: Fit | None) -> None:
    """Print a frontier and the law on it."""
    out = console()
    rows = [
        (entry(found.x, p.x), measured(p.y), count(p.N), count(p.D), str(p.n), status("edge") if p.edge else "")
        for p in found.points
    ]
    out.print(table((found.x, found.y, "N", "D", "runs", ""), rows, right=[0, 1, 2, 3, 4]))
    out.print(f"rule {found.rule}: {len(found.points)} of {found.n_cells} settings are on the frontier")
    show_line(out, "N*", found.N_line, found.x)
    show_line(out, "D*", found.D_line, found.x)
    notes(out, found.warnings)
    if law is not None:
        out.print()
        show_fit(law)


def show_isoflop(found: IsoFlop) -> None:
    """Print the minimum of each budget and the laws through them."""
    out = console()
    rows = []
    for v in found.minima:
        band = v.bands.get("1%")
        optimum = (count(v.N), interval(v.N_interval, count), count(v.D)) if v.ok else ("", "", "")
        mark = status(v.status, v.reason)
        rows.append((flops(v.budget), str(len(v.sizes)), *optimum, measured(v.y), interval(band, count), mark))
    heads = ("budget", "sizes", "best N", f"{percent(found.level)} interval", "best D", found.y, "within 1 %", "")
    out.print(table(heads, rows, right=[0, 1, 2, 4, 5]))
    curve = "parabola with one skew for all budgets" if found.shape == "parabola" else f"the {found.shape} law's curve"
    out.print(f"minima by {curve} ({len(found.usable)} of {len(found.minima)} usable)")
    show_line(out, "N*", found.N_law)
    show_line(out, "D*", found.D_law)
    show_line(out, f"best {found.y}", found.y_law)
    notes(out, found.warnings)


def _show_targets(out: Console, found: ApproachComparison) -> None:
    rows = []
    for t, title in sorted(((t, a.title) for a in found.approaches for t in a.targets), key=lambda one: one[0].C):
        sizes = count(t.N), interval(t.N_interval, count), count(t.D), interval(t.D_interval, count)
        rows.append((flops(t.C), times(t.times), title, *sizes))
    if rows:
        out.print()
        heads = ("C", "largest run", "approach", "N*", "interval", "D*", "interval")
        out.print(table(heads, rows, right=[0, 1, 3, 5]))


def show_allocation(found: ApproachComparison, rates: Mistuning | None = None, unknown: str = "") -> None:
    """Print the approaches, their targets and the verdict, and the effect of the runs' learning rates on them.

    unknown: why that effect is not known, if it was requested.
    """
    out = console()
    rows: list[tuple[str | Text, ...]] = []
    for a in found.approaches:
        if a.status == "ok":
            of_N = exponent(a.N_exponent), interval(a.N_exponent_interval, exponent)
            of_D = exponent(a.D_exponent), interval(a.D_exponent_interval, exponent)
            rows.append((a.title, *of_N, *of_D, ""))
        else:
            rows.append((a.title, "", "", "", "", status("refused")))
    out.print(table(("approach", "N* exponent", "interval", "D* exponent", "interval", ""), rows, right=[1, 3]))
    notes(out, (f"{a.title}: {a.reason}" for a in found.approaches if a.status != "ok"))
    _show_targets(out, found)
    out.print()
    out.print(escape(found.verdict.split(" (")[0]))  # the table has the numbers
    if found.bias:
        bias = shift(found.bias.N_exponent)
        out.print(f"bias of the parabola, if the fitted law is the truth: {bias} in the exponent of N*")
    if rates is not None:
        out.print()
        _show_mistuning(out, rates)
    for one in found.lifetimes:
        _show_lifetime(out, one, found.y)
    titles: dict[str, list[str]] = {}
    for a in found.approaches:
        for text in a.warnings if a.status == "ok" else ():
            titles.setdefault(text, []).append(a.title)
    warnings = (f"{'; '.join(by)}: {text}" for text, by in titles.items())
    of_use = (text for one in found.lifetimes for text in one.warnings if text not in titles)
    notes(out, (*([unknown] if unknown else []), *found.warnings, *warnings, *of_use))


def _show_lifetime(out: Console, found: Lifetime, y: str) -> None:
    """Print the training-optimal model and the cheapest one over training and inference."""
    write = flops if found.unit == FLOPS else duration
    rows = [
        (name, count(m.N), interval(N, count), count(m.D), interval(D, count), write(m.training), write(m.total))
        for name, m, N, D in (
            ("train", found.trained, None, None),
            ("train and infer", found.best, found.N_interval, found.D_interval),
        )
    ]
    target = f"{y} {measured(found.value)}" + (f", as C = {flops(found.at)} buys" if found.at else "")
    out.print(
        f"\n[bold]{count(found.inference)} examples of inference[/] at {escape(target)} "
        f"({escape(found.law)}; costs in {found.unit})"
    )
    heads = ("cheapest to", "N", "interval", "D", "interval", "training", "with use")
    out.print(table(heads, rows, right=[1, 3, 5, 6]))
    ends = interval(found.saved_interval, percent)
    out.print(f"saved: {percent(found.saved)} {ends} of training and inference, in {found.unit}")


def show_tuned(found: Tuned, drawn: Sequence[str] = (), effect: Mistuning | None = None) -> None:
    """Print the optimum of each key at each N and D, and its law as a rule for `set:`."""
    out = console()
    for index, (key, law) in enumerate(zip(found.keys, found.laws, strict=True)):
        rows = []
        for o in found.optima:
            ends = interval(o.interval[index], number) if o.interval else ""
            cost = percent(o.cost[index]) if o.cost else ""
            at, mark = (count(o.N), count(o.D)), status(o.status, o.reason)
            rows.append((*at, number(o.best[index], 3), ends, measured(o.y), cost, str(len(o.means)), mark))
        heads = ("N", "D", f"best {key}", f"{percent(found.level)} interval", found.y, "off by 2×", "tried", "")
        out.print(table(heads, rows, right=[0, 1, 2, 4, 5, 6]))
        if law is not None:
            powers = (
                f"{name}^[bold]{exponent(slope)}[/] {interval(law.intervals.get(name), exponent)}"
                for name, slope in law.exponents.items()
            )
            out.print(f"{escape(key)} ~ {', '.join(powers)}  ({law.n} optima, intervals from {law.interval_from})")
            out.print(f"rule: {escape(law.rule())}")
    notes(out, found.warnings)
    if effect is not None:
        _show_mistuning(out, effect)
    for path in drawn:
        out.print(escape(path))


def _show_mistuning(out: Console, effect: Mistuning) -> None:
    """Print how far a sweep's values of a key are from the optimum, and the effect on its exponents."""
    low, middle, high = (times(one) for one in effect.off)
    out.print(
        f"the sweep's {escape(effect.key)} is {middle} the best one ({low} to {high}), which costs "
        f"{percent(effect.cost[0])} ({percent(effect.cost[1])} at most)"
    )
    for name, moved in (("N*", effect.N), ("best loss", effect.y)):
        out.print(
            f"{name} ~ C^{exponent(moved.fitted)} as run, C^[bold]{exponent(moved.corrected)}[/] "
            f"{interval(moved.interval, exponent)} at the best {escape(effect.key)}"
        )
    if effect.extrapolated:
        notes(out, [f"{percent(effect.extrapolated)} of the runs lie outside the sizes and lengths that were tuned"])
