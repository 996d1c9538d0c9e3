"""Score forecasts that were made before the runs against their results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import UserError
from analysis.files import read_file
from analysis.fitting.display.in_notebook import InNotebook

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scored:
    """One run that was forecast. actual, error (log actual over forecast), inside: None until it has finished.

    label: its overrides; empty in rounds of earlier versions whose run is not in the table.
    """

    round: str
    run_id: str
    forecast: float
    interval: tuple[float, float]
    actual: float | None
    error: float | None
    inside: bool | None
    status: str
    label: str = ""


@dataclass(frozen=True)
class Kept:
    """One round: the target quantity, and its half-width before the round's runs and as expected after them."""

    round: str
    of: str
    y: str
    targets: tuple[str, ...]
    runs: int
    cost: float
    unit: str
    interval_now: float | None
    interval_after: float | None


@dataclass(frozen=True, repr=False)
class Ledger(InNotebook):
    """The forecasts of a sweep's rounds, oldest first, and their scores; of a run in several rounds, its last."""

    rounds: tuple[Kept, ...]
    runs: tuple[Scored, ...]
    level: float

    @property
    def scored(self) -> list[Scored]:
        """The runs that have finished."""
        return [run for run in self.runs if run.error is not None]

    @property
    def inside(self) -> float | None:
        """The share of finished runs inside their interval; None before any has finished."""
        return float(np.mean([bool(run.inside) for run in self.scored])) if self.scored else None

    @property
    def error(self) -> float | None:
        """The root mean square of log(actual / forecast); None before any run has finished."""
        return float(np.sqrt(np.mean([float(run.error or 0) ** 2 for run in self.scored]))) if self.scored else None

    def over_time(self) -> Iterator[tuple[str, int, float]]:
        """Yield each round with finished runs, the number of finished runs so far, and the share of them inside."""
        seen: list[bool] = []
        for one in self.rounds:
            new = [bool(run.inside) for run in self.scored if run.round == one.round]
            seen += new
            if new:
                yield one.round, len(seen), float(np.mean(seen))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        over_time = [{"round": name, "runs": n, "inside": share} for name, n, share in self.over_time()]
        return {**super().to_dict(), "inside": self.inside, "error": self.error, "over_time": over_time}


def read_ledger(folder: str | Path, table: pd.DataFrame | None = None) -> Ledger:
    """Score the forecasts in FOLDER/rounds against the sweep's table, and the records of runs no longer in it.

    Raises `UserError` where there are no forecasts.
    """
    import pandas as pd

    from analysis.table.read import load_table
    from analysis.table.results import read_runs

    found = sorted((Path(folder) / "rounds").glob("*/suggestion.json"))
    if not found:
        raise UserError(f"found no rounds in {folder}; wanted forecasts that were kept; `scaling suggest` keeps them")
    raw = {path.parent.name: json.loads(read_file(path)) for path in found}
    rows = load_table(folder) if table is None else table
    known = set(rows["run_id"])
    dropped = [run_id for one in raw.values() for run_id in one["runs"] if run_id not in known]
    if dropped:  # the sweep has since been planned without them
        rows = pd.concat([rows, read_runs(Path(folder), list(dict.fromkeys(dropped)))], ignore_index=True)
    ends = rows[rows["final"].fillna(True).astype(bool)] if "final" in rows.columns else rows
    ends = ends.drop_duplicates("run_id").set_index("run_id")
    kept = tuple(_kept(name, one) for name, one in raw.items())
    runs = [scored for name, one in raw.items() for scored in _scored(name, one, ends)]
    last = {run.run_id: run.round for run in runs}
    return Ledger(
        kept, tuple(run for run in runs if run.round == last[run.run_id]), float(next(iter(raw.values()))["level"])
    )


def _kept(name: str, one: dict[str, Any]) -> Kept:
    wish, runs = one["wish"], len(one["runs"])
    now, after = one["interval_now"], one["interval_after"]
    return Kept(name, one["of"], wish["y"], tuple(wish["targets"]), runs, one["cost"], wish["unit"], now, after)


def _scored(name: str, one: dict[str, Any], ends: pd.DataFrame) -> Iterator[Scored]:
    if not one["forecasts"]:  # a round made before a law could be fitted
        return
    labels = one.get("labels", [""] * len(one["runs"]))
    for run_id, label, (value, low, high) in zip(one["runs"], labels, one["forecasts"], strict=True):
        row = ends.loc[run_id] if run_id in ends.index else None
        said = label if row is None else str(row.get("overrides", label))
        actual = float("nan") if row is None else float(row.get(one["wish"]["y"], float("nan")))
        status = "missing" if row is None else str(row.get("status", "finished"))
        if status != "finished" or not (np.isfinite(actual) and actual > 0):
            yield Scored(name, run_id, value, (low, high), None, None, None, status, said)
            continue
        error = float(np.log(actual / value))
        yield Scored(name, run_id, value, (low, high), actual, error, low <= actual <= high, status, said)
