"""The report of a sweep: report.html, table.parquet, fit.json, tables/, and figures/ where asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.errors import UserError
from analysis.figures.learning import learning_curves
from analysis.files import write_atomically
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.display.plain import plain
from analysis.report.drawing import Drawing, Picture, picture
from analysis.report.headlines import Headline, headlines
from analysis.report.html import Contents, render
from analysis.report.law_figures import cost_figures, figures_of_activations, figures_of_tries, learning_figures
from analysis.report.law_results import USUAL, GroupResults, LawOptions
from analysis.report.sections import Sections, choose_tasks, read_sections
from analysis.report.tables.law_tables import tables_of_laws
from analysis.report.tables.run_table import run_table
from analysis.report.tables.text_table import write_tables
from analysis.table.columns import parse_numbers
from analysis.table.read import load_table
from analysis.table.recognise.own_columns import COUNTED
from analysis.table.remarks import POOLED
from analysis.table.write import write_table
from analysis.wording import as_typed


@dataclass(frozen=True, repr=False)
class Report(InNotebook):
    """The files and results of a written report."""

    page: Path
    pictures: tuple[Picture, ...]
    groups: tuple[GroupResults, ...]
    refused: tuple[str, ...]
    headlines: tuple[Headline, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report's results and the paths of its files as plain data."""
        return {
            "report": str(self.page),
            "figures": [str(path) for picture in self.pictures for path in picture.files],
            "headlines": [vars(line) for line in self.headlines],
            "groups": [group.to_dict() for group in self.groups],
            "refused": list(self.refused),
        }


def write_report(
    source: str | Path,
    *,
    table: pd.DataFrame | None = None,
    again: str = "",
    out: str | Path | None = None,
    tasks: Sequence[str] = (),
    law_options: LawOptions = USUAL,
    figures: bool = False,
    called: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Analyse a results folder, or the file of a table, and write the report into it, or into another folder.

    table: the table read from source, if it was modified; again: the options of `scaling report` that modify it.
    out: the other folder. tasks: the tasks to report on (default: all). figures: also save figures in figures/ as PNG
    and PDF. called: the name of the source in the page's commands, if different. say: called with progress messages.
    Raises `UserError` where there is no table or the folder cannot be written; refusals of single analyses are stated
    in the report, with the reason.
    """
    path = Path(source)
    folder = Path(out) if out else path if path.is_dir() else Path(path.name.split(".")[0] + "_report")
    whole = load_table(path) if table is None else table
    pool = ",".join(whole.attrs.get(POOLED, ()))
    again = f"{again} --pool {as_typed(pool)}".lstrip() if pool else again
    saved, named = folder / "table.parquet", called or str(path)
    into = folder / "figures" if figures else None
    with _writing_into(folder):
        sections = read_sections(choose_tasks(whole, tasks), path, into, law_options, say)
        every, _ = parse_numbers(whole, [name for name in COUNTED if name in whole.columns])
        measured = choose_tasks(every, tasks)
        curves = learning_curves(measured, path)
        page = Contents(
            table=measured,
            source=path,
            title=(folder if path == saved else path).resolve().name,  # of a table in memory: its folder
            called=str(saved) if again else named,
            command=f"scaling report {named} {again}".rstrip(),
            sections=sections,
            tuned=_drawn((*figures_of_tries(every), *figures_of_activations(path)), into),
            ran=_drawn((*learning_figures(measured, curves), *cost_figures(every)), into),
            runs=run_table(measured, path, folder),
            curves=curves,
            tables=(*sections.all_tables, *tables_of_laws(sections.groups)),
            level=law_options.level,
        )
        write_tables(page.tables, folder / "tables")
        page.runs.ends.to_csv(folder / "tables" / "runs.csv", index=False)
        write_table(whole, saved)
        write_atomically(folder / "fit.json", _results(sections, law_options.level))
        write_atomically(folder / "report.html", render(page))
    lines = tuple(headlines(sections.groups))
    return Report(folder / "report.html", page.pictures, sections.groups, sections.refused, lines)


@contextmanager
def _writing_into(folder: Path) -> Iterator[None]:
    """Make a folder; raise `UserError` where it, or anything written into it meanwhile, cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"found {folder}, where the report cannot be written ({error.strerror or error}); wanted one to write in; "
            f"name another with -o"
        ) from error


def _drawn(drawings: Iterable[Drawing], folder: Path | None) -> tuple[Picture, ...]:
    return tuple(picture(one, folder) for one in drawings)


def _results(sections: Sections, level: float) -> str:
    """Return the content of fit.json."""
    groups = [group.to_dict() for group in sections.groups]
    content: dict[str, Any] = {"groups": groups, "refused": sections.refused, "level": level}
    if sections.comparisons:
        content["comparisons"] = [one.to_dict() for one in sections.comparisons]
    return json.dumps(plain(content), indent=1)
