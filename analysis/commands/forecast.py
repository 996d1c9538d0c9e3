"""`scaling forecast`: the response at a new setting, by one law, or in two steps via the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from analysis.errors import UserError
from analysis.options import (
    SETTINGS,
    LawOption,
    TableChoice,
    answer,
    fit_options,
    interval_options,
    json_option,
    table_options,
)
from analysis.targets import parse_setting

EXAMPLES = """\b
Examples:
  scaling forecast results/quickstart --at C=1e12
  scaling forecast results/NAME --task TASK --y error --via loss --at C=1e12
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@table_options
@fit_options
@click.option(
    "--at", multiple=True, required=True, metavar="C=1e18|N=…,D=…", help="Setting to forecast; may be repeated."
)
@click.option(
    "--check/--no-check", default=True, help="Backtest how far beyond the data such fits have held.  [default: check]"
)
@click.option("--via", metavar="loss|COLUMN", help="Forecast in two steps: first this column of the training run by "
              "the law, then the response from it.")  # fmt: skip
@click.option("--link", cls=LawOption, metavar="LAW", help="With --via: the law of the second step, a law of one "
              "variable in x = 1/via.  [power]")  # fmt: skip
@interval_options
@json_option
def forecast(
    chosen: TableChoice,
    at: Sequence[str],
    via: str | None,
    link: str | None,
    check: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Forecast the response at a new setting, with an interval and how far it extrapolates."""
    from analysis.console import working
    from analysis.estimates.forecast import forecasts
    from analysis.estimates.task_forecast.chained import chained
    from analysis.terminal import show_chained, show_forecasts

    settings = [parse_setting(text) for text in at]
    if via is None and link is not None:
        raise UserError("found --link alone; wanted --via COLUMN with it")
    if via is not None:
        with working(f"fitting {options['law']} to {via}, then {options['y']} to {via} …"):
            options |= {"via": via, "link": link or "power", "check": check}
            steps = chained(chosen.table(), at=settings, **options, **chosen.selection)
        content = [one.to_dict() for one in steps]
        answer({**content[0], "forecasts": content}, json_path, lambda: show_chained(steps))
        return
    with working(f"fitting {options['law']} and testing how far ahead it holds …"):
        found = forecasts(chosen.table(), at=settings, check=check, **options, **chosen.selection)
    every = [one.to_dict() for one in found]
    answer({**every[0], "forecasts": every}, json_path, lambda: show_forecasts(found))
