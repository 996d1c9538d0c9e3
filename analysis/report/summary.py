"""The question, the runs and the failures of a sweep, as text and small tables."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.figures.cost import cost_numbers
from analysis.files import read_file
from analysis.numbers import duration, entry, flops, number, percent, setting
from analysis.report.charts.seeds import run_names
from analysis.table.recognise.statuses import UNFINISHED, statuses
from analysis.table.select import RECIPE, last_rows
from analysis.wording import RECIPE_WORDS, counted

MEANINGS = {
    "N": "parameters of all weight matrices; biases, norms and gains are not counted.",
    "D": "training examples processed in whole batches, including repeats.",
    "C": "3 × forward FLOPs per example × examples processed; a multiply-add is 2 FLOPs; forward FLOPs are those of "
    "the matrix products and convolutions. The table also has C_counted, without the first layer's input gradient.",
    "loss": "the data set's metric on its test set: cross-entropy in nats, or squared error in units of Var(y).",
    "error": "1 − top-1 accuracy on the test set.",
    "tasks of stages": "N, D and C are those of the training run from which the stage started, at its checkpoint.",
}
"""Meanings of the columns of a report."""

OF_OTHERS = {
    "N": "from the table, which does not say how parameters were counted.",
    "D": "from the table.",
    "C": "from the table, or derived by a law of N and D.",
    "loss": "from the table.",
    "error": "from the table.",
}
"""Meanings of the columns of an external table."""

RANGES = {
    "N": ("weights N", ""),
    "D": ("training examples D", ""),
    "D_unique": ("distinct examples", ""),
    "epochs": ("epochs", ""),
    "C": ("compute C of a run", " FLOPs"),
}
"""Columns whose range is shown, with titles and units."""

USUAL_REASONS = {
    "missing": "not run yet",
    "diverged": "not finite, or worse than the constant predictor",
    "at chance": "within two standard errors of the constant predictor",
}
"""Reasons for excluding runs whose records give none."""


@dataclass(frozen=True)
class Trouble:
    """Runs excluded from the fits for one reason."""

    what: str
    why: str
    n: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """The head of a report."""

    question: str
    command: str
    counts: dict[str, int]
    facts: tuple[tuple[str, str], ...]
    recipe: tuple[tuple[str, str], ...]
    troubles: tuple[Trouble, ...]


def summarise(table: pd.DataFrame, folder: Path) -> Summary:
    """Summarise a table and the sweep file beside its plan."""
    question, command = read_sweep(folder / "sweep.yaml")
    named = re.search(r"\bsweep=([\w./-]+)", command)  # the sweep's name, which may differ from the folder's
    names = [folder.resolve().name, *([re.sub(r".*/|\.ya?ml$", "", named[1])] if named else [])]
    question = re.sub(rf"^([\w.-]+/)*({'|'.join(map(re.escape, names))})(\.ya?ml)?(: |\n|$)", "", question)
    question = question[:1].upper() + question[1:]
    ends = last_rows(table)
    found = statuses(ends)
    status = (
        pd.Series("finished", index=ends.index) if found is None else found.where(found.isin(UNFINISHED), "finished")
    )
    counts = {"runs": len(ends)}
    if found is not None:
        counts |= {word: int((status == word).sum()) for word in ("finished", "diverged", "failed", "missing")}
        counts |= {str(word): int(n) for word, n in status[~status.isin(list(counts))].value_counts().items()}
    return Summary(
        question, command, counts, tuple(_facts(ends, status)), tuple(_recipe(ends, status)), _troubles(ends, status)
    )


def read_sweep(path: Path) -> tuple[str, str]:
    """Return the head comment of a sweep file, and the command of its last line `# command:`."""
    try:
        lines = read_file(path).decode(errors="replace").splitlines()
    except OSError:
        return "", ""
    command = next((line[len("# command:") :].strip() for line in reversed(lines) if line.startswith("# command:")), "")
    head: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith(("# @package", "# command:", "# yaml-language-server:")) or (not text and not head):
            continue
        if not text.startswith("#"):
            break
        head.append(re.sub(r"^#+ ?", "", text))
    return "\n".join(head).strip(), command


def conventions(table: pd.DataFrame, measured: Sequence[str], *, stages: bool) -> list[tuple[str, str]]:
    """Return the meanings of N, D, C and the responses. measured: the responses; stages: whether there are stages."""
    left_out = {"error": "error" not in measured, "tasks of stages": not stages}
    if not is_from_scaling(table):
        known = {*table.columns, *(("C",) if {"N", "D"} <= set(table.columns) else ())}
        left_out |= {name: name not in known for name in ("N", "D", "C", "loss")}
    meanings = MEANINGS if is_from_scaling(table) else OF_OTHERS
    return [(name, meaning) for name, meaning in meanings.items() if not left_out.get(name)]


def is_from_scaling(table: pd.DataFrame) -> bool:
    """Tell whether a table was collected from runs of `scaling`, whose counts are known."""
    return {"run_id", "N_total", "C_counted"} <= set(table.columns) and "trained" not in table.columns


def versions() -> str:
    """Name the versions of the packages used in the analysis."""
    from importlib.metadata import version

    words = [f"{name} {version(name)}" for name in ("numpy", "scipy", "pandas", "matplotlib")]
    return ", ".join([f"Python {platform.python_version()}", *words])


def _facts(ends: pd.DataFrame, status: pd.Series) -> list[tuple[str, str]]:
    done = ends[status == "finished"]
    known = [name for name in ("family", "data", "width", "depth") if name in ends.columns and ends[name].notna().any()]
    facts = [(name, _values(ends[name])) for name in known]
    for name, (title, unit) in RANGES.items():
        if name in done.columns and done[name].notna().any():
            facts.append((title, _range(done[name], name) + unit))
    if "budget" in ends.columns and ends["budget"].notna().any():
        facts.append(("budgets", _values(ends["budget"]) + " FLOPs"))
    if "seed" in ends.columns:
        facts.append(("seeds", _values(ends["seed"])))
    if "C" in done.columns:
        facts.append(("compute in all", f"{flops(done['C'].sum())} FLOPs"))
    if "seconds" in done.columns and done["seconds"].notna().any():
        facts.append(("training time in all", duration(float(done["seconds"].sum()))))
    cost = cost_numbers(done)
    if cost is not None:
        text = f"median error {percent(cost.error)}, actual / forecast {number(cost.ratio, 3)}"
        text += f" ({counted(len(cost.actual), 'run')})"
        facts.append(("forecast against actual time", text))
    if "device" in done.columns and done["device"].notna().any():
        facts.append(("device", _values(done["device"].dropna())))
    return facts


def _recipe(ends: pd.DataFrame, status: pd.Series) -> list[tuple[str, str]]:
    names = [name for name in RECIPE if name in ends.columns and ends[name].notna().any()]
    known = ends[names].astype(object).where(ends[names].notna(), "none")
    settled = status.isin(("finished", "diverged"))
    if "precision" in names and settled.any():  # of other runs it is not known yet, but for `auto`
        known["precision"] = known["precision"].where(settled)
    return [(RECIPE_WORDS.get(name, name), _values(known[name], write=setting)) for name in names]


def _troubles(ends: pd.DataFrame, status: pd.Series) -> tuple[Trouble, ...]:
    reason, flags = (_words(ends, name) for name in ("reason", "flags"))
    what = status.where(status != "finished", "")
    what = what.mask((what == "") & flags.str.split("|").map(lambda words: "at_chance" in words), "at chance")
    why = reason.where(reason != "", what.map(USUAL_REASONS).fillna(""))
    found = []
    troubled = ends.assign(what=what, why=why, run=run_names(ends))[what != ""]
    for (kind, cause), rows in troubled.groupby(["what", "why"], sort=False):
        found.append(Trouble(str(kind), str(cause), len(rows), tuple(rows["run"].head(3))))
    return tuple(found)


def _words(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as text, empty where missing."""
    return rows.get(name, pd.Series("", index=rows.index)).astype(object).fillna("").astype(str)


def _values(column: pd.Series, most: int = 12, write: Callable[[object], str] | None = None) -> str:
    values = sorted(column.dropna().unique(), key=_order)
    words = list(map(write or partial(entry, str(column.name)), values))
    if len(words) > most:
        return f"{counted(len(words), 'value')} from {words[0]} to {words[-1]}"
    return ", ".join(words)


def _order(value: object) -> tuple[bool, float, str]:
    """Sort numbers, also those that are stored as text, before words."""
    try:
        return False, float(str(value)), ""
    except ValueError:
        return True, 0.0, str(value)


def _range(column: pd.Series, name: str) -> str:
    low, high = entry(name, column.min()), entry(name, column.max())
    return low if low == high else f"{low} to {high}"
