"""Recognise how runs ended, in the words of trackers, to find the rows of unfinished runs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from analysis.wording import counted, listed

COLUMNS = ("status", "state", "outcome", "phase", "conclusion", "result")
"""Columns that say how a run ended, in any case and spelling, alone or after another word: job_state, run status."""
CODES = ("exit_code", "exitcode", "exit_status", "return_code", "returncode", "exit", "rc")
"""Columns of exit codes; SLURM writes 0:0."""
CHOSEN = ("use", "used", "include", "included")
"""Boolean columns by which people choose runs."""
FLAGS = {"finished": True, "completed": True, "complete": True, "done": True, "success": True, "succeeded": True} | {
    "valid": True,
    **dict.fromkeys(("failed", "crashed", "diverged", "oom", "killed", "aborted", "preempted", "timed_out"), False),
    **dict.fromkeys(("cancelled", "canceled", "interrupted", "timeout", "unstable", "exploded", "invalid"), False),
    **dict.fromkeys(("exclude", "excluded", "ignore", "ignored", "skipped", "outlier", "nan"), False),
    **dict.fromkeys(CHOSEN, True),
}
"""Boolean columns that say how a run ended, alone or after is, has or a tracker's prefix; each with its value for a
usable run."""
BEFORE = re.compile(
    r"^((run|job|trial|sys|summary|config|params|metrics|train|training)_)?((is|has|was|did|has_been)_)?"
)
CAUSES = re.compile(
    r"((fail|failure|crash|error|exception|abort|kill)_(reason|message|msg|type|text|log)|exception|traceback)"
)
"""Columns with the cause of a run's failure; empty for runs that did not fail."""
ENDS = re.compile(r"((end|finish|finished|completed|ended|completion)_(time|at|date|datetime)|datetime_complete)")
"""Columns with the time at which a run ended; empty for runs that did not end."""
NOTES = ("note", "notes", "comment", "comments", "remark", "remarks", "tags", "label")
"""Columns of free-text notes on a run."""
MOST_WORDS = 20
"""Maximum number of distinct values of a status column."""
UNFINISHED = (
    *("missing", "failed", "diverged"),
    *("running", "pending", "queued", "scheduled", "created", "waiting", "in_progress", "not_started", "configuring"),
    *("crashed", "killed", "error", "aborted", "cancelled", "preempted", "timeout", "out_of_memory", "node_fail"),
    *("interrupted", "stopped", "pruned", "incomplete", "unfinished", "suspended", "nan", "lost", "stalled", "deleted"),
    "excluded",
)
"""Words for a run that did not finish properly; `select_rows` leaves it out unless keep names its word."""
SAME = {
    other: word
    for word, others in {
        "failed": ("fail", "failure", "unsuccessful", "bad", "broken", "invalid"),
        "crashed": ("crash", "segfault"),
        "error": ("errored", "exception", "err"),
        "cancelled": ("canceled", "cancel", "revoked"),
        "timeout": ("timed_out", "time_out", "deadline", "time_limit", "walltime"),
        "out_of_memory": ("oom", "oom_killed", "oom_error", "cuda_out_of_memory", "cuda_oom", "memory_error"),
        "node_fail": ("node_failure", "boot_fail"),
        "in_progress": ("in_process", "ongoing"),
        "running": ("active", "training", "resuming", "started"),
        "diverged": ("divergence", "diverging", "divergent", "diverge", "exploded", "unstable", "blew_up"),
        "nan": ("nan_loss", "loss_nan", "nans", "inf", "inf_loss"),
        "stopped": ("terminated_by_user", "early_stopped_by_user"),
        "aborted": ("abort",),
        "killed": ("kill", "sigkill", "sigterm"),
        "preempted": ("preemption", "evicted", "requeued"),
        "stalled": ("hung", "hanging", "stuck", "zombie"),
        "lost": ("vanished", "unreachable"),
        "excluded": ("exclude", "ignore", "ignored", "skip", "skipped", "outlier", "discarded", "rejected"),
        "unfinished": ("partial", "not_finished", "not_done", "not_completed"),
    }.items()
    for other in others
}
"""Synonyms of these words."""
FINISHED = (
    *("finished", "finish", "completed", "complete", "done", "success", "successful", "succeeded", "ok"),
    *("terminated", "ended", "passed", "exited", "converged", "good", "trained", "early_stopped", ""),
)


def statuses(table: pd.DataFrame) -> pd.Series | None:
    """Return the status word of each row's run in lower case; None where no column has one.

    The first status column is used, unless another one says that the run did not finish properly. A missing end time is
    ignored for a run that is called finished.
    """
    named = [(plain_name(name), table[name]) for name in table.columns]
    columns = [(name, words) for name, column in named if (words := _status_words(column, name)) is not None]
    if not columns:
        return None
    called = [words.isin(FINISHED[:-1]) for name, words in columns if _in_words(name)]
    finished = pd.concat(called, axis=1).any(axis=1) if called else pd.Series(data=False, index=table.index)
    word, *others = (words.mask(finished, "finished") if ENDS.fullmatch(name) else words for name, words in columns)
    for other in others:
        word = word.where(word.isin(UNFINISHED) | ~other.isin(UNFINISHED), other)
    return word


def _in_words(name: str) -> bool:
    """Tell whether a column of this plain name holds status words."""
    return name in COLUMNS or (name.rpartition("_")[2] in COLUMNS[:3] and "_" in name)


def _status_words(column: pd.Series, name: str) -> pd.Series | None:
    """Return a column's values as status words, judged by its plain name and content; None if it is no status."""
    last = name.rpartition("_")[2]
    if _in_words(name):
        words = column.map(status_word)
        wanted = (word for word in (*FINISHED, *(UNFINISHED if last in COLUMNS[:3] else ())) if word)
        return words if words.isin(tuple(wanted)).any() else None
    if name in CODES:
        return _by(column, lambda code: _nothing(code) or str(code).strip() in ("0", "0.0", "0:0"), "failed")
    flag = BEFORE.sub("", name)
    if flag in FLAGS and (marks := _booleans(column)) is not None:
        bad = "excluded" if flag in CHOSEN else "unfinished" if FLAGS[flag] else SAME.get(flag, flag)
        return pd.Series(["finished" if mark == FLAGS[flag] else bad for mark in marks], index=column.index)
    if flag in ("finished", "completed", "ended") and column.isna().any():  # the time at which it did
        return _by(column, lambda value: not _nothing(value), "unfinished")
    if CAUSES.fullmatch(name) and not pd.api.types.is_numeric_dtype(column):
        return _by(column, lambda value: _nothing(value) or str(value).strip() in ("0", "False"), "failed")
    if ENDS.fullmatch(name) and column.notna().any():
        return _by(column, lambda value: not _nothing(value), "unfinished")
    return None


def is_status(column: pd.Series, name: object) -> bool:
    """Tell whether a column is a status of runs."""
    word = plain_name(name)
    return word in COLUMNS or _status_words(column, word) is not None


def unclear_statuses(table: pd.DataFrame) -> list[str]:
    """Return a sentence for each unknown status word, and for notes about runs that did not end."""
    noted = {
        name: words
        for name in table.columns
        if plain_name(name) in NOTES
        and not pd.api.types.is_numeric_dtype(table[name])
        and len(words := table[name].dropna()[lambda column: column.map(status_word).isin(UNFINISHED)])
    }
    return [
        *(
            f"{name} says {str(words.iloc[0])!r} of {counted(len(words), 'row')} used (--where leaves out)"
            for name, words in noted.items()
        ),
        *(
            f"the column {name} holds {listed(list(map(str, values)), 4)}, known neither as finished nor as another: "
            "all rows are used (--where leaves out)"
            for name in table.columns
            if plain_name(name).endswith("status")
            and _status_words(table[name], plain_name(name)) is None
            and 1 < len(values := table[name].dropna().unique()) <= MOST_WORDS
        ),
    ]


def _by(column: pd.Series, good: Callable[[object], bool], bad: str) -> pd.Series | None:
    """Return "finished" where a value is good, else the word `bad`; None where no value is good."""
    fine = column.map(good).to_numpy(bool)
    return pd.Series(["finished" if one else bad for one in fine], index=column.index) if fine.any() else None


def _nothing(value: object) -> bool:
    return bool(pd.isna(value)) or str(value).strip().lower() in ("", "-", "none", "nan", "null", "n/a", "ok", "nat")  # type: ignore[call-overload]


def unknown_words(words: pd.Series) -> list[str]:
    """Return the words that are not known status words, in order of appearance."""
    return [str(word) for word in words.unique() if word not in (*UNFINISHED, *FINISHED)]


def status_word(value: object) -> str:
    """Normalise a status: OUT_OF_MEMORY, "Out of memory" and "oom" become one word; unknown ones are kept.

    Of several words the first is used if it is known: CANCELLED by 1000, failed (oom).
    """
    if value is None or (isinstance(value, float) and value != value):
        return ""
    word = plain_name(str(value))
    if word in UNFINISHED or word in FINISHED or word in SAME:
        return SAME.get(word, word)
    first = word.partition("_")[0]
    known = SAME.get(first, first) if any(letter.isalpha() for letter in first) else word
    return known if known in UNFINISHED else word


def plain_name(name: object) -> str:
    """Return a name in lower case with underscores between its words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name).strip())
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def _booleans(column: pd.Series) -> list[bool] | None:
    """Return a column of booleans in any notation; None where it holds anything else."""
    words = column.map(lambda value: str(value).strip().lower().removesuffix(".0"))
    if not words.isin(("true", "false", "yes", "no", "1", "0", "y", "n", "t", "f")).all():
        return None
    return words.isin(("true", "yes", "1", "y", "t")).tolist()
