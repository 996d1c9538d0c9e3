"""`scaling tuned`: the best values of a key, from runs that tried several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis.options import SETTINGS, TableChoice, answer, interval_options, json_option, table_options
from analysis.typed import words

if TYPE_CHECKING:
    from analysis.estimates.tuning.mistuning import Mistuning
    from analysis.estimates.tuning.optima import Tuned

EXAMPLES = """\b
Examples:
  scaling tuned results/quickstart-tune --figures
  scaling tuned results/quickstart-tune --of results/quickstart
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@table_options
@click.option("--key", "keys", multiple=True, metavar="lr,…", help="The tuned keys: columns or config keys.  [lr]")
@click.option("--y", default="val_loss", show_default=True, metavar="val_loss|loss|COLUMN", help="The response.")
@click.option(
    "--of", metavar="TABLE", help="Also report what the first key's values do to the exponents of this sweep."
)
@click.option("--figures", is_flag=True, help="Save figures/tuned_KEY….png, .pdf and .svg in the results folder.")
@interval_options
@json_option
def tuned(
    chosen: TableChoice,
    keys: Sequence[str],
    y: str,
    of: str | None,
    figures: bool,
    json_path: str | None,
    **options: Any,
) -> None:
    """Find the best value of a tuned key at each size and length, and fit its law in N and D."""
    from analysis.estimates.tuning.optima import tuned as find
    from analysis.estimates.tuning.trials import trial_rows
    from analysis.report.drawing import picture
    from analysis.report.law_figures import tuned_figures
    from analysis.terminal import show_tuned

    names, rows = trial_rows(chosen.table(), words(keys) or ["lr"], y=y, selection=chosen.selection)
    found = find(rows, keys=names, y=y, **options)
    effect = None if of is None else _effect(of, found, options["level"])
    folder = Path(chosen.source if Path(chosen.source).is_dir() else ".") / "figures"
    pictures = [picture(drawing, folder) for drawing in tuned_figures(found, rows)] if figures else []
    drawn = [str(path) for one in pictures for path in one.files]
    content = {**found.to_dict(), "figures": drawn, "mistuning": effect.to_dict() if effect else None}
    answer(content, json_path, lambda: show_tuned(found, drawn, effect))


def _effect(source: str, found: Tuned, level: float) -> Mistuning:
    """Return the effect of a sweep's values of the first key on its exponents."""
    from analysis.estimates.tuning.mistuning import mistuning
    from analysis.table.read import load_table
    from analysis.table.select import RECIPE, select_rows

    rows, _ = select_rows(load_table(source), y="loss", pool=RECIPE)
    return mistuning(rows, found, key=found.keys[0], level=level)
