"""Options and output shared by the commands of the analysis."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.shell_completion import CompletionItem

from analysis.errors import UserError
from analysis.typed import parse_columns, parse_fixed, parse_tied, parsed_by, shown_column, where_option, words

if TYPE_CHECKING:
    import pandas as pd

Command = Callable[..., Any]
_json_stream: ContextVar[TextIO | None] = ContextVar("_json_stream", default=None)
"""The real stdout while it is kept for JSON alone."""


class LawOption(click.Option):
    """An option for names of laws; {laws} in its help is replaced when the help is shown, not on import."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's names and its help, which lists all laws."""
        from analysis.laws import LAWS

        listed = copy(self)
        listed.help = str(self.help).format(laws=", ".join(LAWS))
        return super(LawOption, listed).get_help_record(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of laws, also after a comma."""
        from analysis.laws import LAWS

        before, comma, word = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in LAWS if name.startswith(word)]


SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command."""
FILE = click.Path()
"""The path of a table, folder or archive; the shell completes file names."""
Y = click.option("--y", default="loss", show_default=True, metavar="loss|error|COLUMN", help="The response.")
X = click.option("--x", metavar="COLUMN", help="The variable of a law of one variable.  [C if the table has it]")
OBJECTIVE = click.Choice(["huber", "lad", "lsq"])


COLUMN_OPTIONS = (
    click.option("--columns", multiple=True, callback=parsed_by(parse_columns), metavar='N="Model Size",…',
                 help="Take N, D, C, loss, … from these columns; quote names with spaces."),
    click.option("--derive", multiple=True, metavar='"D = C/(6*N)"', help="Compute a column; may be repeated."),
    click.option("--convention", type=click.Choice(["ours", "paper"]), default="ours", show_default=True,
                 help="paper: N is all parameters and a multiply-add one FLOP, as in arXiv 2306.13575."),
)  # fmt: skip
TABLE_OPTIONS = (
    click.argument("source", metavar="TABLE", type=FILE),
    *COLUMN_OPTIONS[:2],
    click.option("--rows", type=click.Choice(["final", "all"]), default="final", show_default=True,
                 help="all: also use milestones of constant-rate runs."),
    where_option("Rows to use."),
    click.option("--pool", multiple=True, callback=parsed_by(words), metavar="COLUMN,…",
                 help="Recipe columns that may differ between runs."),
    click.option("--keep", multiple=True, callback=parsed_by(words), metavar="at_chance,…",
                 help="Flagged runs to use all the same."),
    click.option("--task", help="The task, if the table has several."),
    click.option("--run-column", metavar="COLUMN|none",
                 help="Column that names the run, if rows are milestones; none: each row is a run."),
    *COLUMN_OPTIONS[2:],
)  # fmt: skip
KNOWN_OPTIONS = (
    click.option("--fix", multiple=True, callback=parsed_by(parse_fixed), metavar="E=1.6",
                 help="Fix a parameter; may be repeated."),
    click.option("--tie", multiple=True, callback=parsed_by(parse_tied), metavar="alpha=beta",
                 help="Set one parameter equal to another."),
)  # fmt: skip
FIT_OPTIONS = (
    click.option("--law", cls=LawOption, default="chinchilla", show_default=True, metavar="LAW",
                 help="The law: {laws}, your own as module:NAME, or auto: the best by backtest."),
    Y,
    X,
    click.option("--objective", type=OBJECTIVE, default="huber", show_default=True,
                 help="Huber loss, absolute errors (lad) or least squares (lsq)."),
    click.option("--delta", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True,
                 help="Width of the Huber loss."),
    click.option("--space", type=click.Choice(["log", "raw"]), default="log", show_default=True,
                 help="Errors of log y, or of y."),
    click.option("--resample", type=click.Choice(["runs", "points", "seed", "wild"]), default="runs",
                 show_default=True, help="What is resampled for the intervals."),
    click.option("--interval", type=click.Choice(["percentile", "bca"]), default="percentile", show_default=True,
                 help="How intervals are made from the refits."),
    *KNOWN_OPTIONS,
    click.option("--weights", type=click.Choice(["seeds"]), help="Weight by the inverse variance of seeds."),
)  # fmt: skip


@dataclass(frozen=True)
class TableChoice:
    """The table, columns and rows selected by the options of a command."""

    source: str
    columns: dict[str, str]
    derive: tuple[str, ...]
    selection: dict[str, Any]
    convention: str = "ours"

    def table(self) -> pd.DataFrame:
        """Read the table, rename and derive its columns, and apply the convention for N and C."""
        from analysis.table.read import read_table

        return self.prepared(read_table(self.source))

    def prepared(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rename and derive columns of a table, and apply the convention for N and C."""
        from analysis.table.read import derive_column, load_table, rename_columns

        if self.convention == "paper":
            from analysis.estimates.conventions import as_the_paper_counts

            table = as_the_paper_counts(table)
        if self.columns:
            table = rename_columns(table, self.columns)
        table = load_table(table)
        for assignment in self.derive:
            table = derive_column(table, assignment)
        return table

    def options(self, where: str | None = None) -> str:
        """Return the options that select the same columns and rows, as typed; empty if there are none."""
        from analysis.wording import as_typed

        given = [("--columns", ",".join(f"{name}={shown_column(column)}" for name, column in self.columns.items()))]
        given += [("--derive", text) for text in self.derive]
        given += [("--where", where or ""), ("--convention", self.convention if self.convention != "ours" else "")]
        return " ".join(f"{name} {as_typed(value)}" for name, value in given if value)

    def rows(self, y: str, along: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
        """Read the table and select its rows; return them and sentences on rows left out. along: its variables."""
        from analysis.table.remarks import with_left_out
        from analysis.table.select import select_rows

        rows, left_out = select_rows(self.table(), y=y, along=along, **self.selection)
        return with_left_out(rows, left_out), left_out


def _with(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add options to a command; its help lists them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def column_options(command: Command) -> Command:
    """Add the options that select columns of SOURCE; the command receives a TableChoice."""
    return _with(_choosing(command, ()), COLUMN_OPTIONS)


def table_options(command: Command) -> Command:
    """Add TABLE and the options that select columns and rows; the command receives a TableChoice."""
    return _with(_choosing(command, ("rows", "where", "pool", "keep", "task", "run_column")), TABLE_OPTIONS)


def _choosing(command: Command, selection: Sequence[str]) -> Command:
    """Return a command that takes a table's options, those of `selection` to choose its rows, as a TableChoice."""

    @functools.wraps(command)
    def wrapped(source: str, columns: dict[str, str], derive: tuple[str, ...], convention: str, **rest: Any) -> Any:
        chosen = TableChoice(source, columns, derive, {name: rest.pop(name) for name in selection}, convention)
        return command(chosen, **rest)

    return wrapped


def fit_options(command: Command) -> Command:
    """Add the options of the law and its fit; the command receives fix and tie as mappings."""
    return _with(command, FIT_OPTIONS)


def known_options(command: Command) -> Command:
    """Add the constraints on a law's parameters; the command receives fix and tie as mappings."""
    return _with(command, KNOWN_OPTIONS)


def interval_options(command: Command, resamples: int = 1000) -> Command:
    """Add --resamples, --level and --seed. resamples: the default."""
    added = (
        click.option("--resamples", type=click.IntRange(0), default=resamples, show_default=True,
                     help="Number of refits; 0: no intervals."),
        click.option("--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95,
                     show_default=True, help="Confidence level of the intervals."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the resampling."),
    )  # fmt: skip
    return _with(command, added)


def json_option(command: Command) -> Command:
    """Add --json PATH; with JSON on stdout, all other output goes to stderr."""

    @functools.wraps(command)
    def with_json(*arguments: Any, json_path: str | None, **options: Any) -> Any:
        if json_path != "-":
            return command(*arguments, json_path=json_path, **options)
        token = _json_stream.set(sys.stdout)
        try:
            with redirect_stdout(sys.stderr):  # the module of a user-defined law may print on import
                return command(*arguments, json_path=json_path, **options)
        finally:
            _json_stream.reset(token)

    text = "Write the same content as JSON to PATH (-: to stdout, and nothing else there)."
    return click.option("--json", "json_path", metavar="PATH", help=text)(with_json)


def answer(content: Mapping[str, Any], json_path: str | None, show: Callable[[], None]) -> None:
    """Show a result, and write it as JSON if json_path is given; "-" writes only JSON, to stdout."""
    if json_path != "-":
        show()
    if json_path is None:
        return
    from analysis.fitting.display.plain import plain

    text = json.dumps(plain(content), indent=1, allow_nan=False)
    if json_path == "-":
        click.echo(text, file=_json_stream.get())
        return
    path = Path(json_path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"found {path}, which cannot be written ({error.strerror or error}); name another") from error
