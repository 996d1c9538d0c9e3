"""Result tables: accuracy by setting and task, mean and deviation over seeds, as in the tables of a paper."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.paper.ablation import variants_of
from analysis.files import read_file
from analysis.numbers import count, entry, measured
from analysis.report.case import Case, crops_of, epoch_groups, is_ablation
from analysis.report.tables.text_table import TextTable
from analysis.table.mixtures import OUR_KINDS, mixtures_of
from analysis.table.select import OWN_TASK
from analysis.table.swept import is_swept
from analysis.wording import augment_words, symbol

MOST_ROWS = 60
"""Maximum number of settings in a table; if milestones exceed it, only the ends of runs are listed."""

SETTINGS = (
    *("expansion", "augment", "label_smoothing", "optim", "lr", "schedule", "batch", "precision", "engine", "trained"),
    *("stage_recipe", "budget", "D_unique"),
)
"""Columns that distinguish settings besides the model, the epochs and what a sweep varies, if they differ."""
AMOUNTS = ("D", "N", "C")
"""Columns that tell runs of different size or length apart; without any, only seeds are known to be alike."""
ALIKE = 1.05
"""Ratio up to which runs are alike in C, and those of one model in D: whole batches vary D slightly."""

NUMBERS = (*AMOUNTS, "label_smoothing", "lr", "batch", "budget", "D_unique", "epochs")

WORDS = {
    "N": "weights",
    "D": "examples processed",
    "C": "compute (FLOPs)",
    "D_unique": "examples",
    "stage_recipe": "stage",
    "label_smoothing": "smoothing",
    "augment": "augmentation",
    "lr": "learning rate",
    "budget": "compute (FLOPs)",
    "variant": "change",
}


def results_of(cases: Sequence[Case]) -> TextTable | None:
    """Tabulate the results of all tasks; None where there is only one setting."""
    settled = [case.rows for case in cases if case.rows is not None]
    if not settled:
        return None
    errors = all("error" in rows and rows["error"].notna().all() for rows in settled)
    kinds = [one.name for rows in settled for one in mixtures_of(rows) if one.name not in OUR_KINDS]
    return result_table(pd.concat(settled), "error" if errors else "loss", kinds)


def result_table(rows: pd.DataFrame, y: str = "error", kinds: Sequence[str] = ()) -> TextTable | None:
    """Tabulate selected rows: one line per setting, one column per task; None where there is only one setting.

    Error is shown as accuracy in per cent, other responses unchanged; ± is the standard deviation over seeds. kinds:
    further columns that distinguish settings.
    """
    kinds = [*dict.fromkeys([*filter(is_swept, rows.columns), *kinds])]
    rows = _named(rows[rows[y].notna()].reset_index(drop=True))
    chosen = _settings(rows, kinds)
    if len(rows[chosen].drop_duplicates()) > MOST_ROWS and "final" in rows.columns:
        rows = rows[rows["final"].astype(bool)]
        chosen = _settings(rows, kinds)
    if not chosen or len(rows[chosen].drop_duplicates()) > MOST_ROWS:
        return None
    cells = _ordered(_means(rows, chosen, y), [] if "variant" in chosen else chosen)
    if not {"model", *AMOUNTS} & set(rows.columns) and (cells["size"] > cells["seeds"]).any():
        return None
    tasks = sorted(set(cells["column"]), key=lambda task: (":" in task, task))
    groups: Any = cells.groupby(chosen, dropna=False, sort=False)
    lines = [_cells(setting, chosen, group, tasks, y) for setting, group in groups]
    heads = tuple(WORDS.get(name, name) for name in chosen) + tuple(tasks)
    right = tuple(i for i, name in enumerate(chosen) if name in NUMBERS) + tuple(range(len(chosen), len(heads)))
    what = "Test accuracy, %" if y == "error" else f"Test {y}"
    return TextTable("results", what, heads, tuple(lines), right, _note(cells))


def _means(rows: pd.DataFrame, chosen: Sequence[str], y: str) -> pd.DataFrame:
    """Return mean, deviation, runs and seeds of each setting and task."""
    value = 100 * (1 - rows[y]) if y == "error" else rows[y]
    seed = rows.get("seed", pd.Series(0, index=rows.index))
    grouped = rows.assign(value=value, seed=seed).groupby([*chosen, "column"], dropna=False, sort=False)
    named = {
        "mean": ("value", "mean"),
        "std": ("value", "std"),
        "size": ("value", "size"),
        "seeds": ("seed", "nunique"),
    }
    return grouped.agg(**named).reset_index()


def _note(cells: pd.DataFrame) -> str:
    n = sorted(set(cells["size"]))
    if n[-1] == 1:
        return "One seed."
    noun = "seeds" if (cells["size"] == cells["seeds"]).all() else "runs"
    return f"Mean ± standard deviation over {n[0] if len(n) == 1 else f'{n[0]} to {n[-1]}'} {noun}."


def _ordered(cells: pd.DataFrame, chosen: Sequence[str]) -> pd.DataFrame:
    """Sort lines by setting: numbers by value, text in order of first appearance."""
    ranks: dict[str, pd.Series] = {}
    for name in chosen:
        known = cells[name]
        if name == "model":
            parts = known.str.extract(r"^(.*)-(\d+)/Wi-(\d+)$")
            ranks |= {"family": _appearance(parts[0]), "depth": parts[1].astype(float), "width": parts[2].astype(float)}
        else:
            ranks[name] = (
                known.fillna(-np.inf)
                if name in NUMBERS and pd.api.types.is_numeric_dtype(known)
                else _appearance(known)
            )
    if not ranks:
        return cells
    return cells.loc[pd.DataFrame(ranks).sort_values(list(ranks), kind="stable").index]


def _appearance(column: pd.Series) -> pd.Series:
    return pd.Series(pd.factorize(column)[0], index=column.index)


def _settings(rows: pd.DataFrame, kinds: Sequence[str]) -> list[str]:
    """Choose the columns that distinguish settings, without those determined by others."""
    names = dict.fromkeys(("model", "variant", *SETTINGS, *kinds, "epochs"))
    chosen = [name for name in names if name in rows and rows[name].nunique(dropna=name not in kinds) > 1]
    if "variant" in chosen:
        return [name for name in chosen if name in ("variant", "D_unique")]
    for name in AMOUNTS if chosen else ():
        least = ALIKE if name == "C" or (name == "D" and "model" in rows) else 1.0
        if name in rows and (rows.groupby([*chosen, "column"], dropna=False)[name].agg(_range) > least).any():
            chosen = [name, *chosen]
    for name in (*kinds, "lr", "stage_recipe", "epochs", "D_unique"):
        others = [other for other in chosen if other != name]
        if name in chosen and others:
            enough = rows.groupby([*others, "column"], dropna=False)[name].nunique().max() <= 1
            chosen = others if enough else chosen
    return chosen


def _range(column: pd.Series) -> float:
    """Return the ratio of the largest to the smallest number."""
    return float(column.max() / column.min())


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that name a line (model, epochs as asked for, change), and the table's column of its value."""
    added: dict[str, Any] = {}
    if {"family", "depth", "width"} <= set(rows.columns) and rows[["depth", "width"]].notna().all(axis=None):
        added["model"] = [symbol(*model) for model in zip(rows["family"], rows["depth"], rows["width"], strict=True)]
    if "epochs" in rows.columns:
        added["epochs"] = epoch_groups(rows)
    task = rows.get("task", pd.Series(OWN_TASK, index=rows.index)).map(str)
    data = rows.get("data", task).map(str)
    added["column"] = data if _crops_only(rows, task) else task.where(task != OWN_TASK, data)
    if "overrides" in rows.columns and is_ablation(rows):
        added["variant"] = variants_of(rows["overrides"])
    return rows.assign(**added)


def _crops_only(rows: pd.DataFrame, task: pd.Series) -> bool:
    """Tell whether all other tasks are the same test on random crops, and so belong in the same column."""
    crops = crops_of(rows)[task != OWN_TASK]
    return len(crops) > 0 and bool(crops.notna().all())


def _cells(
    setting: tuple[object, ...], chosen: Sequence[str], group: pd.DataFrame, tasks: Sequence[str], y: str
) -> tuple[str, ...]:
    cells = [_word(name, value) for name, value in zip(chosen, setting, strict=True)]
    for task in tasks:
        found = group[group["column"] == task]
        mean, deviation = (float(found[name].iloc[0]) if len(found) else float("nan") for name in ("mean", "std"))
        cells.append(measured(mean, deviation, decimals=1 if y == "error" else None))
    return tuple(cells)


def _word(name: str, value: Any) -> str:
    if pd.isna(value):
        return "plain" if name == "stage_recipe" else "–"
    if name == "augment":
        return augment_words(str(value))
    if name == "stage_recipe":
        return re.sub(r"[\[\],]+", " ", str(value)).strip()
    return entry(name, value)


def efficiency_table(path: Path) -> TextTable | None:
    """Tabulate an efficiency.csv of `scaling measure`; None where there is none."""
    try:
        rows = pd.read_csv(io.BytesIO(read_file(path)))
    except (OSError, ValueError):
        return None
    heads = ("model", "parameters", "MFLOPs an image", "latency, ms", "images/s", "best batch", "memory, MB")
    lines = [
        (
            symbol(row["family"], row["depth"], row["width"]),
            count(row["N_total"]),
            measured(row["forward_flops"] / 1e6, digits=3),
            measured(row["latency_ms"], digits=3),
            measured(row["throughput"], digits=3),
            count(row["best_batch"]),
            measured(row["memory_bytes"] / 1e6, digits=3),
        )
        for row in rows.to_dict("records")
    ]
    first = rows.iloc[0]
    threads = f"{first['threads']:.0f} thread{'s' if first['threads'] > 1 else ''}"
    note = f"Forward pass on {first['device']}, {first['precision']}, {threads}; latency of one image."
    return TextTable("efficiency", "Cost of inference", heads, tuple(lines), tuple(range(1, 7)), note)
