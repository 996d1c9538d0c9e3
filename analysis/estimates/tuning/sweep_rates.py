"""Assess a sweep's learning rates by its tuning runs in results/NAME-tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import Refusal, UserError
from analysis.estimates.tuning.mistuning import Mistuning, mistuning
from analysis.estimates.tuning.trials import tuned_rates
from analysis.table.read import load_table
from analysis.table.select import RECIPE, select_rows

if TYPE_CHECKING:
    import pandas as pd


def tries_of_sweep(source: Path | str) -> Path | None:
    """Return the folder of a sweep's tuning runs by `scaling tune`; None where there is none with a plan."""
    folder = Path(source)
    beside = folder.with_name(f"{folder.name}-tune")
    return beside if (beside / "plan.csv").is_file() else None


def rates_of(table: pd.DataFrame, tries: Path | str, *, y: str = "loss", level: float = 0.95) -> Mistuning:
    """Return how far a sweep's learning rates are from the tuned optimum, and the effect on its exponents.

    Raises `UserError` where `tries` are not tuning runs, `Refusal` where there is no law or no exponent.
    """
    found = tuned_rates(load_table(tries))
    if found is None:
        raise UserError(f"found no tries of a learning rate in {tries}; wanted what `scaling tune` made; name another")
    rows, _ = select_rows(table, y=y, pool=RECIPE)
    if "lr" not in rows.columns:
        raise Refusal("the table has no column lr, so how far its rates are off is not known")
    return mistuning(rows, found[0], key="lr", y=y, level=level)
