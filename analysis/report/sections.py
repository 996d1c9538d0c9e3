"""The parts of a report: one for each task of a table, and one that sets tasks side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.report.accuracy_table import efficiency_table, results_of
from analysis.report.case import Case, cases_of
from analysis.report.convention_table import convention_table
from analysis.report.drawing import Drawing, Picture, picture
from analysis.report.fit_groups import find
from analysis.report.law_figures import of_group
from analysis.report.law_results import Findings, How
from analysis.report.paper_figures import drawings, tasks
from analysis.report.text_table import TextTable
from analysis.table.select import OWN_TASK, tasks_of
from analysis.wording import listed


@dataclass(frozen=True)
class Section:
    """What a report says of one task: its laws group by group with their figures, its own figures and tables.

    task: empty where the table has only one.
    """

    task: str
    findings: tuple[Findings, ...]
    refused: tuple[str, ...]
    special: tuple[Picture, ...]
    of_groups: tuple[tuple[Picture, ...], ...]
    tables: tuple[TextTable, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all its figures, those of groups behind its own."""
        return sum(self.of_groups, self.special)


def choose_tasks(table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Keep the rows of some tasks, all where none is named."""
    if not wanted:
        return table
    known = tasks_of(table)
    for task in wanted:
        if task not in known:
            raise UserError(f"found no task {task!r}; the table has {listed(known) or 'no column task'}")
    return table[table["task"].astype(str).isin(wanted)]


def sections(
    table: pd.DataFrame, source: Path, figures: Path | None, how: How, say: Callable[[str], None] = lambda text: None
) -> tuple[list[Section], list[Picture], list[TextTable]]:
    """Analyse and draw task by task. figures: the folder to save figures in, where they are wanted as files.

    Returns a section for each task, and the figures and tables that set tasks (or models) side by side.
    """
    cases = cases_of(table, source, how)
    found = [_section(case, figures, how, many=len(cases) > 1, say=say) for case in cases]
    beside = [picture(drawing, figures) for drawing in tasks(cases)]
    tables = [efficiency_table(source / "efficiency.csv") if source.is_dir() else None, results_of(cases)]
    return found, beside, [one for one in tables if one is not None]


def _section(case: Case, figures: Path | None, how: How, *, many: bool, say: Callable[[str], None]) -> Section:
    task = str(case.task) if many else ""
    say(f"fitting laws{f' of {task}' if task else ''}")
    findings, refused = find(case.table, how, case.task if many else None)
    suffix = f"_{anchor(task)}" if task not in ("", OWN_TASK) else ""

    def drawn(of: Iterator[Drawing], prefix: str = "") -> tuple[Picture, ...]:
        return tuple(picture(drawing, figures, prefix=prefix, suffix=suffix) for drawing in of)

    say("drawing figures")
    twice = {f"{case.y}_vs_compute"} if case.exponents else set()  # the case's own figure shows it with more
    of_groups = [
        drawn((one for one in of_group(group) if one.name not in twice), f"{i}_" if len(findings) > 1 else "")
        for i, group in enumerate(findings, 1)
    ]
    conventions = convention_table(case.exponents, case.y, task)
    tables = (replace(conventions, name=f"conventions{suffix}"),) if conventions else ()
    return Section(task, tuple(findings), tuple(refused), drawn(drawings(case)), tuple(of_groups), tables)


def anchor(task: str) -> str:
    """Return a task's name in links and files: KIND:DATA is KIND_DATA."""
    return task.replace(":", "_")
