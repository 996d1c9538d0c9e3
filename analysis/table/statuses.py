"""How runs ended, in the words of those who track them: which rows are of no finished run."""

from __future__ import annotations

import re

import pandas as pd

COLUMNS = ("status", "state", "run_status", "run_state", "job_status", "job_state", "outcome")
"""Columns that say how a run ended, in any case and spelling; W&B calls it State, Optuna state, SLURM State."""
FLAGS = {"finished": True, "completed": True, "is_finished": True, "failed": False, "crashed": False, "diverged": False}
"""Columns of booleans that say the same, each with its value for a run that may be used."""
UNFINISHED = (
    *("missing", "failed", "diverged"),
    *("running", "pending", "queued", "scheduled", "created", "waiting", "in_progress", "not_started", "configuring"),
    *("crashed", "killed", "error", "aborted", "cancelled", "preempted", "timeout", "out_of_memory", "node_fail"),
    *("interrupted", "stopped", "pruned", "incomplete", "unfinished", "suspended", "nan"),
)
"""Words for a run that did not end as it should; select_rows leaves it out, unless keep names its word."""
SAME = {
    "fail": "failed",
    "failure": "failed",
    "crash": "crashed",
    "errored": "error",
    "canceled": "cancelled",
    "timed_out": "timeout",
    "oom": "out_of_memory",
    "oom_killed": "out_of_memory",
    "node_failure": "node_fail",
    "in_process": "in_progress",
    "active": "running",
    "divergence": "diverged",
    "exception": "error",
    "terminated_by_user": "stopped",
    "abort": "aborted",
    "kill": "killed",
    "deadline": "timeout",
}
FINISHED = (
    *("finished", "finish", "completed", "complete", "done", "success", "successful", "succeeded", "ok"),
    *("terminated", "ended", "passed", "exited", "converged", ""),
)


def statuses(table: pd.DataFrame) -> pd.Series | None:
    """Return each row's word for how its run ended, in lower case; None where no column says.

    Of the columns that may say so, the first that has a word known here. Columns of booleans (finished, crashed, …)
    give finished and unfinished, or their own name.
    """
    by_name = {plain(name): name for name in reversed(table.columns)}
    for name in (by_name[name] for name in COLUMNS if name in by_name):
        words = table[name].map(status_word)
        if words.isin((*UNFINISHED, *(word for word in FINISHED if word))).any():
            return words
    for flag, good in FLAGS.items():
        if flag in by_name and (marks := _booleans(table[by_name[flag]])) is not None:
            bad = "unfinished" if good else flag
            return pd.Series(["finished" if mark == good else bad for mark in marks], index=table.index)
    return None


def unknown(words: pd.Series) -> list[str]:
    """Return the words that are known neither for a finished run nor for another, in order of appearance."""
    return [str(word) for word in words.unique() if word not in (*UNFINISHED, *FINISHED)]


def status_word(value: object) -> str:
    """Write a status in the words above: OUT_OF_MEMORY, "Out of memory" and "oom" are one; others stay as they are."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    word = plain(str(value))
    if word.startswith(("cancelled", "canceled")):  # SLURM: CANCELLED by 1000
        return "cancelled"
    return SAME.get(word, word)


def plain(name: object) -> str:
    """Write a name in lower case with underscores between its words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name).strip())
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def _booleans(column: pd.Series) -> list[bool] | None:
    """Return a column of booleans, however they are written; None where it holds anything else."""
    words = column.map(lambda value: str(value).strip().lower().removesuffix(".0"))
    if not words.isin(("true", "false", "yes", "no", "1", "0")).all():
        return None
    return words.isin(("true", "yes", "1")).tolist()
