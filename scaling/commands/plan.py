"""`scaling plan`: what a sweep would run and cost."""

from __future__ import annotations

import click

from scaling.commands.options import OVERRIDES, json_option, only_overrides, overrides, recipe_option, write_json

EPILOG = """\b
Examples:
  scaling plan sweep=quickstart
  scaling plan sweep=quickstart model.width=64,128 --json plan.json
  scaling plan model.width=64,128 train.budget=1e9
  scaling plan sweep=paper/pretrain_scaling --device h100
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@recipe_option
@json_option
@click.option(
    "--device", "card", metavar="CARD", help="Forecast for a GPU that you do not have here (h100, h200, a100, a5000)."
)
@click.option("--all", "show_all", is_flag=True, help="Print all runs.")
def plan(arguments: tuple[str, ...], json_path: str | None, card: str | None, show_all: bool) -> None:
    """Print the runs of a sweep with N, D, C, forecast time and cost. Nothing is written, and no data is opened."""
    from scaling.commands.plan_forecast import forecast_plan
    from scaling.compose.session import session
    from scaling.plan.expand import expand

    with session() as loader:
        expanded = expand(loader, only_overrides(arguments))
    view = forecast_plan(expanded, card=card)
    if json_path is not None:
        write_json(view.to_dict(), json_path)
    if json_path != "-":
        from scaling.commands.plan_view import show_plan

        show_plan(view, show_all=show_all)
