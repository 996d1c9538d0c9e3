"""`scaling data`: find and prepare data sets."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from scaling.commands.completion.words import complete_data
from scaling.commands.options import OVERRIDES, answer, json_option, only_overrides, terminal, trust_option

if TYPE_CHECKING:
    from rich.progress import TaskID

    from scaling.data.prepare.survey import Found

WIDTH = 80  # columns of a text of several lines

EPILOG = """\b
Examples:
  scaling data list
  scaling data prepare fashion_mnist
  scaling data prepare cifar10 data.root=/data/cifar10 data.image_size=64
"""


@click.group(epilog=EPILOG)
def data() -> None:
    """Show where data sets are, and prepare them."""


@data.command("list")
@json_option
def list_sets(json_path: str | None) -> None:
    """List all data sets, and whether they are on this machine."""
    from scaling.data.prepare.survey import survey

    found = survey()
    lines = [f"{entry.name:15} {'ready' if entry.ready else 'not here'}: {entry.where}" for entry in found]
    answer({"data": [asdict(entry) for entry in found]}, json_path, *lines, *_advice(found))


def _advice(found: Iterable[Found]) -> Iterator[str]:
    """Yield what to do about sets that are not here, once for all that differ only in name and folder."""
    missing = [entry for entry in found if not entry.ready]
    alike: dict[str, list[Found]] = {}
    for entry in missing:
        general = entry.advice.replace(entry.where, "FOLDER").replace(f"prepare {entry.name}", "prepare NAME")
        alike.setdefault(general, []).append(entry)
    for general, entries in alike.items():
        what = general if len(entries) > 1 else entries[0].advice
        text = f"{', '.join(entry.name for entry in entries)}: {what}"
        yield "\n" + textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


@data.command("prepare", context_settings=OVERRIDES, epilog=EPILOG)
@click.argument("name", shell_complete=complete_data)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[data.KEY=VALUE]...")
@click.option("--force", is_flag=True, help="Prepare it again even if the original files have not changed.")
@trust_option
@json_option
def prepare_set(name: str, arguments: tuple[str, ...], json_path: str | None, *, force: bool) -> None:
    """Find and check a data set, and convert it to arrays if needed. Changed original files are converted again."""
    import yaml

    from scaling.data.prepare.survey import prepare

    pairs = [argument.partition("=") for argument in only_overrides(arguments)]
    settings = {key.removeprefix("data."): yaml.safe_load(value) for key, _, value in pairs}
    with _ImageProgress() as progress:
        ready = prepare(name, settings, watch=progress.tell, force=force)
    train = "without end" if ready.n_train is None else f"{ready.n_train:,}"
    answer(
        asdict(ready),
        json_path,
        f"{ready.name} is ready: {ready.where}",
        f"  {train} training, {ready.n_validation:,} validation and {ready.n_test:,} test examples "
        f"of shape {ready.shape} in {ready.classes} classes; loss of the constant predictor {ready.chance:.4f}",
        *(f"note: {note}" for note in ready.notes),
    )


class _ImageProgress:
    """Shows on stderr how many images of a split are done: a bar on a terminal, elsewhere a line at every tenth."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=terminal(stderr=True))
        self._split_bars: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> _ImageProgress:
        if self._bars.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars.console.is_terminal:
            self._bars.stop()

    def tell(self, split: str, done: int, total: int) -> None:
        """Show that `done` images of `total` are in arrays."""
        if self._bars.console.is_terminal:
            if split not in self._split_bars:
                self._split_bars[split] = self._bars.add_task(split, total=total)
            self._bars.update(self._split_bars[split], completed=done)
        elif (tenth := 10 * done // total) > self._tenths.get(split, 0):
            self._tenths[split] = tenth
            click.echo(f"  {split}: {done:,} of {total:,} images", err=True)
