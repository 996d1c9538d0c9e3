"""Result tables: accuracy by setting and task, mean and deviation over seeds, as in the tables of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.conventions import Exponents
from analysis.figures.style import short
from analysis.text_table import TextTable

MOST_ROWS = 60
"""Settings that a table lists; where milestones make more, only the ends of runs are listed."""

SETTINGS = ("augment", "label_smoothing", "optim", "lr", "schedule", "batch", "stage_recipe", "budget", "D_unique")
"""Columns that tell one setting from another beside the model and the epochs, where they differ."""

WORDS = {
    "D_unique": "examples",
    "stage_recipe": "stage",
    "label_smoothing": "smoothing",
    "augment": "augmentation",
    "lr": "rate",
}


def symbol(family: object, depth: float, width: float) -> str:
    """Name a model as the paper does: B-12/Wi-1024, S-6/Wi-1024; other families by their own name."""
    letter = {"bottleneck": "B", "mlp": "S"}.get(str(family), str(family))
    return f"{letter}-{depth:.0f}/Wi-{width:.0f}"


def result_table(rows: pd.DataFrame, y: str = "error") -> TextTable | None:
    """Tabulate settled rows: a line a setting, a column a task; None where there is nothing to tell apart.

    Error is shown as accuracy in per cent, other responses as they are; ± is the standard deviation over seeds.
    """
    rows = _named(rows[rows[y].notna()])
    if (
        len(_settings(rows))
        and rows[_settings(rows)].drop_duplicates().shape[0] > MOST_ROWS
        and "final" in rows.columns
    ):
        rows = rows[rows["final"].astype(bool)]
    chosen = _settings(rows)
    if not chosen or rows[chosen].drop_duplicates().shape[0] > MOST_ROWS:
        return None
    value = 100 * (1 - rows[y]) if y == "error" else rows[y]
    grouped = rows.assign(value=value).groupby([*chosen, "column"], dropna=False, sort=False)["value"]
    cells = grouped.agg(["mean", "std", "size"]).reset_index()
    tasks = sorted(set(rows["column"]), key=lambda task: (":" in task, task))
    n = sorted(set(cells["size"]))
    lines = [_cells(setting, group, tasks, y) for setting, group in cells.groupby(chosen, dropna=False, sort=False)]
    what = "Test accuracy, %" if y == "error" else f"Test {y}"
    seeds = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
    note = f"Mean ± standard deviation over {seeds} seeds." if n[-1] > 1 else "One seed."
    heads = tuple(WORDS.get(name, name) for name in chosen) + tuple(tasks)
    return TextTable("results", what, heads, tuple(lines), tuple(range(len(chosen), len(heads))), note)


def _settings(rows: pd.DataFrame) -> list[str]:
    """Choose the columns that tell settings apart; what follows from the others tells nothing."""
    chosen = [name for name in ("model", "variant", *SETTINGS, "epochs") if name in rows and rows[name].nunique() > 1]
    if "variant" in chosen:
        return [name for name in chosen if name in ("variant", "D_unique")]
    for name in ("lr", "stage_recipe", "epochs", "D_unique"):
        others = [other for other in chosen if other != name]
        if name in chosen and others:
            told = rows.groupby([*others, "column"], dropna=False)[name].nunique().max() <= 1
            chosen = others if told else chosen
    return chosen


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what a line is told by: model, whole epochs, and the column its value stands in."""
    from analysis.figures.ablation import variant_of

    added: dict[str, Any] = {}
    if {"family", "depth", "width"} <= set(rows.columns) and rows[["depth", "width"]].notna().all(axis=None):
        added["model"] = [symbol(*model) for model in zip(rows["family"], rows["depth"], rows["width"], strict=True)]
    if "epochs" in rows.columns:
        added["epochs"] = [rounded(value) for value in rows["epochs"]]
    task = rows["task"].astype(str) if "task" in rows.columns else pd.Series("test", index=rows.index)
    data = rows["data"].astype(str) if "data" in rows.columns else task
    added["column"] = task.where(task != "test", data)
    if "overrides" in rows.columns and is_ablation(rows):
        added["variant"] = rows["overrides"].map(variant_of)
    return rows.assign(**added)


def is_ablation(rows: pd.DataFrame) -> bool:
    """Tell a sweep of components: at equal compute, three or more keys changed, each against the same base."""
    from analysis.figures.ablation import variant_of

    if not {"overrides", "C"} <= set(rows.columns):
        return False
    names = set(rows["overrides"].map(variant_of))
    keys = {word.split("=")[0] for name in names for word in name.split(", ") if "=" in word}
    ends = rows[rows["final"].astype(bool)] if "final" in rows.columns else rows
    equal = ends["C"].max() <= 1.25 * ends["C"].min()
    return "base" in names and len(names) >= 4 and len(keys) >= 3 and bool(equal)


def rounded(epochs: float) -> float:
    """Round epochs to what was asked for: whole batches make 99.97 of 100."""
    return float(f"{epochs:.2g}") if epochs < 10 else float(round(epochs))


def _cells(setting: object, group: pd.DataFrame, tasks: Sequence[str], y: str) -> tuple[str, ...]:
    said = [_word(value) for value in (setting if isinstance(setting, tuple) else (setting,))]
    for task in tasks:
        found = group[group["column"] == task]
        if found.empty:
            said.append("")
            continue
        mean, deviation = float(found["mean"].iloc[0]), float(found["std"].iloc[0])
        digits = 1 if y == "error" else 4
        said.append(f"{mean:.{digits}f}" + (f" ± {deviation:.{digits}f}" if np.isfinite(deviation) else ""))
    return tuple(said)


def _word(value: object) -> str:
    from analysis.figures.filters import augment_words

    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return short(value) if value >= 1000 else f"{value:g}"
    return augment_words(str(value)) if str(value).startswith(("standard", "none")) else str(value)


def convention_table(found: Sequence[Exponents], y: str, name: str = "") -> TextTable | None:
    """Show a frontier's exponents under each convention; None where there is only one."""
    if len(found) < 2:
        return None
    rows = []
    for one in found:
        counts = f"{one.convention.name}: {one.convention.N}, {one.convention.C}"
        rows.append((counts, *(_exponent(value) for value in (one.y, one.N, one.D))))
    heads = ("convention", f"{y} ~ C^", "best N ~ C^", "best D ~ C^")
    note = "Slopes of lines in log-log through the frontier, with 95 % intervals; no floor is taken off."
    title = "What the convention does to the exponents" + (f": {name}" if name else "")
    return TextTable("conventions" + (f"_{name}" if name else ""), title, heads, tuple(rows), (1, 2, 3), note)


def _exponent(value: tuple[float, tuple[float, float] | None] | None) -> str:
    if value is None:
        return "too few points"
    ends = f" [{value[1][0]:.3f}, {value[1][1]:.3f}]" if value[1] else ""
    return f"{value[0]:.3f}{ends}".replace("-", "−")


def efficiency_table(path: Path) -> TextTable | None:
    """Tabulate an efficiency.csv that `scaling measure` wrote; None where there is none."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError):
        return None
    heads = ("model", "parameters", "MFLOPs an image", "latency, ms", "images/s", "best batch", "memory, MB")
    lines = [
        (
            symbol(row["family"], row["depth"], row["width"]),
            short(row["N_total"]),
            f"{row['forward_flops'] / 1e6:.3g}",
            f"{row['latency_ms']:.3g}",
            f"{row['throughput']:,.0f}",
            f"{row['best_batch']:.0f}",
            f"{row['memory_bytes'] / 1e6:.3g}",
        )
        for row in rows.to_dict("records")
    ]
    how = rows.iloc[0]
    note = f"Forward pass on {how['device']}, {how['precision']}, {how['threads']:.0f} thread(s); latency of one image."
    return TextTable("efficiency", "Cost of inference", heads, tuple(lines), tuple(range(1, 7)), note)
