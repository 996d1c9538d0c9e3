"""The sections of a report: one per task of a table, and comparisons of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.estimates.multiplier import Comparison
from analysis.report.case import Case, cases_of
from analysis.report.compared import side_by_side
from analysis.report.drawing import Drawing, Picture, picture
from analysis.report.fit_groups import fit_groups
from analysis.report.law_figures import comparison_figure, group_figures
from analysis.report.law_results import GroupResults, LawOptions
from analysis.report.paper_figures import paper_figures, task_frontiers
from analysis.report.tables.accuracy_table import efficiency_table, results_of
from analysis.report.tables.convention_table import convention_table
from analysis.report.tables.ledger_table import ledger_table
from analysis.report.tables.rates_table import rates_table
from analysis.report.tables.text_table import TextTable
from analysis.table.select import OWN_TASK, tasks_of
from analysis.wording import listed


@dataclass(frozen=True)
class Section:
    """The section of one task: the results of its groups with figures, its own figures and tables.

    task: empty if the table has only one.
    """

    task: str
    groups: tuple[GroupResults, ...]
    refused: tuple[str, ...]
    figures: tuple[Picture, ...]
    group_figures: tuple[tuple[Picture, ...], ...]
    tables: tuple[TextTable, ...]
    comparison: Comparison | None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all its figures, its own before those of groups."""
        return sum(self.group_figures, self.figures)


@dataclass(frozen=True)
class Sections:
    """A section per task, and the figures and tables that compare tasks or models."""

    tasks: tuple[Section, ...]
    figures: tuple[Picture, ...]
    tables: tuple[TextTable, ...]

    @property
    def groups(self) -> tuple[GroupResults, ...]:
        """Return the results of all groups."""
        return tuple(group for section in self.tasks for group in section.groups)

    @property
    def refused(self) -> tuple[str, ...]:
        """Return sentences on everything that could not be analysed."""
        named = ((f"{section.task}: " if section.task else "", section.refused) for section in self.tasks)
        return tuple(f"{task}{sentence}" for task, sentences in named for sentence in sentences)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Return the comparisons of two groups."""
        return tuple(section.comparison for section in self.tasks if section.comparison)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all figures."""
        return sum((section.pictures for section in self.tasks), self.figures)

    @property
    def all_tables(self) -> tuple[TextTable, ...]:
        """Return all tables."""
        return sum((section.tables for section in self.tasks), self.tables)


def choose_tasks(table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """Keep the rows of the wanted tasks, all if none is named."""
    if not wanted:
        return table
    known = tasks_of(table)
    for task in wanted:
        if task not in known:
            raise UserError(f"found no task {task!r}; the table has {listed(known) or 'no column task'}; name another")
    return table[table["task"].astype(str).isin(wanted)]


def read_sections(
    table: pd.DataFrame, source: Path, figures: Path | None, law_options: LawOptions, say: Callable[[str], None]
) -> Sections:
    """Analyse and draw task by task. figures: the folder to save figures in; None: they are not saved as files."""
    cases = cases_of(table, source, law_options)
    found = tuple(_section(case, figures, many=len(cases) > 1, say=say) for case in cases)
    of_tasks = tuple(picture(drawing, figures) for drawing in task_frontiers(cases))
    efficiency = efficiency_table(source / "efficiency.csv") if source.is_dir() else None
    tables = [efficiency, results_of(cases), rates_table(source, table, law_options.level), ledger_table(source, table)]
    return Sections(found, of_tasks, tuple(one for one in tables if one is not None))


def _section(case: Case, figures: Path | None, *, many: bool, say: Callable[[str], None]) -> Section:
    task = str(case.task) if many else ""
    say(f"fitting laws{f' of {task}' if task else ''}")
    groups, refused = fit_groups(case.table, case.law_options, case.task if many else None)
    suffix = f"_{anchor(task)}" if task not in ("", OWN_TASK) else ""

    def drawn(drawings: Iterable[Drawing], prefix: str = "") -> tuple[Picture, ...]:
        return tuple(picture(drawing, figures, prefix=prefix, suffix=suffix) for drawing in drawings)

    say("drawing figures")
    twice = {f"{case.y}_vs_compute"} if case.exponents else set()  # the case's own figure shows it with more
    of_groups = [
        drawn((one for one in group_figures(group) if one.name not in twice), f"{i}_" if len(groups) > 1 else "")
        for i, group in enumerate(groups, 1)
    ]
    own, conventions = drawn(paper_figures(case)), convention_table(case.exponents, case.y, task)
    tables = (replace(conventions, name=f"conventions{suffix}"),) if conventions else ()
    found, why = side_by_side(groups)
    if found:
        own = (*drawn([comparison_figure(found)]), *own)
    refused += [why] if why else []
    return Section(task, tuple(groups), tuple(refused), own, tuple(of_groups), tables, found)


def anchor(task: str) -> str:
    """Return a task's name for links and files: KIND_DATA for KIND:DATA."""
    return task.replace(":", "_")
