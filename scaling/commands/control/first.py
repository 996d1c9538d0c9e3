"""`scaling first`: move runs to the front of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.control.choice import RUNS, WHERE, chosen
from scaling.commands.options import answer, as_typed, json_option, sweep_folder
from scaling.errors import UserError
from scaling.numbers import many

if TYPE_CHECKING:
    from scaling.folders import SweepFolder

EPILOG = """\b
Examples:
  scaling first results/mine model.width=64 seed=1
  scaling first results/mine --where 'N > 1e6'
  scaling first results/mine --clear
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@RUNS
@WHERE
@click.option("--clear", is_flag=True, help="Restore the usual order.")
@json_option
def first(folder: str, words: tuple[str, ...], where: tuple[str, ...], clear: bool, json_path: str | None) -> None:
    """Train some runs, and the runs from which they start, before all others of a sweep, here and on SLURM.

    Select runs by their ids, by overrides, or by --where. Running runs continue. Workers take one of these as soon as
    they are free, and new workers begin with them.
    """
    from scaling.commands.rounds.round_files import one_at_a_time
    from scaling.dispatch.states.front import clear_front, front_runs, move_to_front

    sweep = sweep_folder(folder)
    runs = chosen(sweep, words, where)
    if clear == (runs is not None):
        found = "--clear beside runs" if clear else "no runs named"
        raise UserError(f"found {found}; wanted ids, overrides or --where; or --clear alone")
    moved: tuple[str, ...] = ()
    if runs is None:
        clear_front(sweep)
        text = f"all runs of {as_typed(sweep.path)} are in their usual order again"
    else:
        with one_at_a_time(sweep, "changing"):
            moved = move_to_front(sweep, runs)
        text = _moved_words(sweep, moved)
    answer({"moved": list(moved), "front": list(front_runs(sweep))}, json_path, text)


def _moved_words(sweep: SweepFolder, moved: Sequence[str]) -> str:
    """Return a sentence on how many runs were moved, and how many of them no longer need it."""
    from scaling.dispatch.states.read_state import read_status
    from scaling.dispatch.states.state import State

    status, asked = read_status(sweep), set(moved)
    settled = sum(run.run_id in asked for run in status.of(State.FINISHED, State.DIVERGED))
    running = sum(run.run_id in asked for run in status.of(State.RUNNING))
    left = len(moved) - settled - running
    beside = [f"{n:,} {words}" for n, words in ((settled, "settled already"), (running, "in training")) if n]
    others = f" ({', '.join(beside)})" if beside else ""
    return f"{many(left, 'run')} of {as_typed(sweep.path)} go{'es' if left == 1 else ''} first{others}"
