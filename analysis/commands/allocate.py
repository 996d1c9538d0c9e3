"""`scaling allocate`: how to split compute between N and D, and what is cheapest over training and inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis.errors import Refusal, UserError, attempt
from analysis.options import (
    SETTINGS,
    LawOption,
    TableChoice,
    Y,
    answer,
    interval_options,
    json_option,
    known_options,
    table_options,
)
from analysis.targets import Written, parse_compute

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.tuning.mistuning import Mistuning

EXAMPLES = """\b
Examples:
  scaling allocate results/quickstart --at 1e12
  scaling allocate results/quickstart --at 1e12 --inference 1e9
  scaling measure sweep=quickstart && scaling allocate results/quickstart --at 1e12 --inference 1e9   # in seconds too
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@table_options
@Y
@click.option("--at", multiple=True, metavar="C", help="A target compute in FLOPs; may be repeated.")
@click.option("--inference", type=Written(), metavar="D_INF", help="Number of examples (tokens) at inference: also "
              "find the N and D that are cheapest over training and inference.")  # fmt: skip
@click.option(
    "--reach", type=float, metavar="VALUE", help="With --inference: the response to reach, instead of that of --at."
)
@click.option("--law", cls=LawOption, metavar="LAW", help="With --inference: a law of N and D.  [chinchilla]")
@click.option("--measured", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="CSV",
              help="With --inference: also find the cheapest in seconds, from the output of `scaling measure`.  "
              "[results/NAME/efficiency.csv]")  # fmt: skip
@click.option("--tuned", "tries", metavar="TABLE",
              help="Runs of `scaling tune`: report how learning rates off the best change the exponents.  "
              "[results/NAME-tune]")  # fmt: skip
@known_options
@interval_options
@json_option
def allocate(
    chosen: TableChoice,
    y: str,
    at: Sequence[str],
    inference: float | None,
    reach: float | None,
    law: str | None,
    measured: Path | None,
    tries: str | None,
    fix: dict[str, float],
    tie: dict[str, str],
    json_path: str | None,
    **options: Any,
) -> None:
    """Compute how to split compute between N and D, by three approaches, and whether they agree."""
    from analysis.estimates.allocate import Use, constrained_forms
    from analysis.estimates.allocate import allocate as compare
    from analysis.table.remarks import with_left_out
    from analysis.table.select import select_rows
    from analysis.terminal import show_allocation

    alone = [name for name, value in (("reach", reach), ("law", law), ("measured", measured)) if value is not None]
    if inference is None and alone:
        raise UserError(f"found --{alone[0]} alone; wanted --inference D_INF with it")
    if measured is None and (beside := Path(chosen.source) / "efficiency.csv").is_file():
        measured = beside
    asked = None if inference is None else Use(inference, reach, law or "chinchilla", measured)
    form, use = constrained_forms(asked, fix, tie)
    table = chosen.table()
    selection = {**chosen.selection, "rows": "final"}
    rows, left_out = select_rows(table, y=y, **selection)
    milestones = select_rows(table, y=y, **chosen.selection)[0] if chosen.selection["rows"] == "all" else None
    found = compare(
        with_left_out(rows, left_out), y=y, at=parse_compute(at), milestones=milestones, use=use, form=form, **options
    )
    effect, unknown = _rates(table, chosen.source, tries, y=y, level=options["level"])
    content = {**found.to_dict(), "left_out": left_out, "mistuning": effect.to_dict() if effect else None}
    answer(content, json_path, lambda: show_allocation(found, effect, unknown))
    if found.refusal:
        raise Refusal(found.refusal)


def _rates(
    table: pd.DataFrame, source: str, tries: str | None, *, y: str, level: float
) -> tuple[Mistuning | None, str]:
    """Return the effect of the learning rates on the exponents, by the tuning runs, or why it is unknown."""
    from analysis.estimates.tuning.sweep_rates import rates_of, tries_of_sweep

    if tries is not None:
        return rates_of(table, tries, y=y, level=level), ""
    beside = tries_of_sweep(source)
    if beside is None:
        return None, ""
    found, why = attempt(lambda: rates_of(table, beside, y=y, level=level))
    return found, f"what the rates do to the exponents is not known: {why}" if why else ""
