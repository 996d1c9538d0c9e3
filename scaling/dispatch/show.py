"""Show a sweep on a terminal, and in plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from typing import Protocol, Self

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from scaling.dispatch.states.outcome import Failure, Outcome
from scaling.dispatch.states.state import RunState, State, Status
from scaling.numbers import duration, many, measured
from scaling.terminal_table import Column, Terminal, print_table

COLOURS = {
    State.FINISHED: "green",
    State.DIVERGED: "yellow",
    State.RUNNING: "cyan",
    State.PENDING: "dim",
    State.FAILED: "red",
    State.MISSING: "magenta",
}
PLAIN_SECONDS = 2.0  # between two plain lines
ALONE_SECONDS = 10.0  # between two plain lines about a single run
ROWS = 16  # runs in a live table
NAMED_FAILURES = 10  # failures reported one by one in plain lines
NOTES = 30  # notes in plain lines, each once
NAMED_NOTES = 5  # notes below a live table


class View(Protocol):
    """Shows a sweep while it runs; reported: runs whose failures it has reported."""

    reported: set[str]

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, status: Status) -> None:
        """Show the present state."""

    def say(self, sentence: str) -> None:
        """Show a sentence."""


def view(console: Terminal, folder: str = "results/NAME") -> View:
    """Return a live table on a terminal, plain lines elsewhere; folder: the sweep's, as typed in a command."""
    return LiveView(console) if console.is_terminal else PlainView(console, folder)


class LiveView:
    """A table that is redrawn in place."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self.reported = set[str]()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, status: Status) -> None:
        """Draw the present state."""
        bar = ProgressBar(total=1.0, completed=done_share(status), width=min(60, self._console.width - 1))
        shown = status.of(State.RUNNING)[:ROWS]
        lines = [Text(progress_line(run, None), no_wrap=True, overflow="ellipsis") for run in shown]
        lines += [Text(f"note: {note}") for note in status.notes[:NAMED_NOTES]]
        self._live.update(Group(headline(status), Columns([bar]), *lines))  # a bar alone ends no line

    def say(self, sentence: str) -> None:
        """Print a sentence above the table."""
        self._console.say(sentence)


class PlainView:
    """Plain lines about changes, the progress at most once in PLAIN_SECONDS."""

    def __init__(self, console: Terminal, folder: str) -> None:
        self._console, self._folder = console, folder
        self.reported = set[str]()
        self._noted = set[str]()
        self._done = -1
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, status: Status) -> None:
        """Print a line if something changed."""
        for run in status.of(State.FAILED):
            if run.run_id not in self.reported and len(self.reported) < NAMED_FAILURES:
                self.reported.add(run.run_id)
                self.say(failure_line(run, self._folder))
        for note in status.notes:
            if note not in self._noted and len(self._noted) < NOTES:
                self._noted.add(note)
                self.say(f"note: {note}")
        now = time.monotonic()
        running = status.of(State.RUNNING)
        if len(status.runs) == 1 and running and now - self._last >= ALONE_SECONDS:
            self._last = now
            self.say(progress_line(running[0], status.eta_seconds))
            return
        complete = status.settled + len(status.of(State.FAILED)) == len(status.runs)
        if status.settled == self._done or (now - self._last < PLAIN_SECONDS and not complete):
            return
        self._done, self._last = status.settled, now
        self.say(headline(status).plain)

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.say(sentence)


def headline(status: Status) -> Text:
    """Return the state of a sweep in one line."""
    text = Text(f"{status.name}: {status.settled}/{len(status.runs)} settled")
    for words, state, n in counted(status):
        text.append(f", {n} {words}", style=COLOURS[state])
    if status.paused:
        text.append("; paused", style="magenta")
    if status.eta_seconds:
        text.append(f"; about {duration(status.eta_seconds)} left")
    return text


def counted(status: Status) -> list[tuple[str, State, int]]:
    """Return the numbers of runs in each state other than finished, with the states in words."""
    found = Counter((words_of(run), run.state) for run in status.runs)
    order = (State.DIVERGED, State.RUNNING, State.PENDING, State.FAILED, State.MISSING)
    return [(words, state, n) for one in order for (words, state), n in sorted(found.items()) if state is one]


def words_of(run: RunState) -> str:
    """Return a run's state in words; a missing run is "stopped" or "not started"."""
    if run.state is not State.MISSING:
        return run.state.value
    return "stopped" if run.attempts else "not started"


def done_share(status: Status) -> float:
    """Return the fraction of the sweep that is done: of the compute if it is known for all runs, else of the runs."""
    sizes = [run.C for run in status.runs] if all(run.C for run in status.runs) else [1.0] * len(status.runs)
    done = sum(size * run.share for size, run in zip(sizes, status.runs, strict=True))
    return done / sum(sizes) if sizes else 0.0


def failure_line(run: RunState | Failure, folder: str) -> str:
    """Return why a run failed, and the command that shows its log."""
    return f"failed {run.run_id} ({run.label}): {run.cause}: {run.error}; its log: scaling logs {folder} {run.run_id}"


def progress_line(run: RunState, left: float | None) -> str:
    """Return the progress of one run in a line: step, loss and, in seconds, the time `left`."""
    step = f"step {run.step:,} of {run.steps:,}" if run.step is not None and run.steps else "starting"
    loss = "" if run.loss is None else f", loss {measured(run.loss)}"
    return f"{run.label}: {step}{loss}{f'; about {duration(left)} left' if left else ''}"


COLUMNS = (
    Column("id", rank=4),
    Column("run", wraps=True),
    Column("state"),
    Column("step", rank=5, right=True),
    Column("loss", rank=1, right=True),
    Column("examples/s", rank=8, right=True),
    Column("time", rank=6, right=True),
    Column("where", rank=7),
)


def row(run: RunState) -> list[str | Text]:
    """Return one run as cells: id, label, state, step, loss, speed, time, where."""
    return [
        run.run_id,
        run.label,
        Text(words_of(run), style=COLOURS[run.state]),
        f"{run.step}/{run.steps} ({run.share:.0%})" if run.steps and run.step is not None else "",
        "" if run.loss is None else measured(run.loss),
        "" if run.speed is None else f"{run.speed:,.0f}",
        "" if run.seconds is None else duration(run.seconds),
        run.where,
    ]


def print_status(console: Terminal, status: Status, *, every: bool = False, folder: str = "results/NAME") -> None:
    """Print a sweep: counts, running and diverged runs (with `every` all), failures and notes."""
    console.say(headline(status))
    shown = list(status.runs) if every else status.of(State.RUNNING, State.DIVERGED)
    if shown:
        print_table(console, COLUMNS, [row(run) for run in shown])
    failed = status.of(State.FAILED)
    console.say(*(failure_line(run, folder) for run in (failed if every else failed[:NAMED_FAILURES])))
    if len(failed) > NAMED_FAILURES and not every:
        console.say(f"and {len(failed) - NAMED_FAILURES} more failed (--all names them)")
    console.say(*(f"note: {note}" for note in status.notes))


def print_outcome(
    console: Terminal, outcome: Outcome, *, again: str, folder: str = "results/NAME", reported: Collection[str] = ()
) -> None:
    """Print how a dispatch ended and, if something is left, the command `again` that continues.

    folder: the sweep's, as typed in a command; reported: runs whose failures were reported before.
    """
    new_failures = [failure for failure in outcome.failures if failure.run_id not in reported]
    lines = [_settled_line(outcome), *(failure_line(failure, folder) for failure in new_failures[:NAMED_FAILURES])]
    if len(outcome.failures) > NAMED_FAILURES:
        lines.append(f"{len(outcome.failures)} runs failed in all: scaling status {folder} --all names them")
    lines += _left_lines(outcome)
    if outcome.stopped:
        lines.append(f"stopped; nothing is lost; to continue: {again}")
    elif outcome.failures:
        lines.append(f"to retry the failed runs: {again}")
    console.say(*lines)


def _settled_line(outcome: Outcome) -> str:
    new = outcome.settled - outcome.found
    before = f", {outcome.found} were settled before" if outcome.found else ""
    return f"{outcome.settled}/{outcome.runs} runs settled: {new} now in {duration(outcome.seconds)}{before}"


def _left_lines(outcome: Outcome) -> list[str]:
    """Return a sentence for each reason why runs are left, other than failures."""
    lines = []
    if outcome.blocked:
        lines.append(f"{_runs_are(outcome.blocked)} blocked: what they start from failed, or diverged too early")
    if outcome.elsewhere:
        lines.append(f"{_runs_are(outcome.elsewhere)} being trained by another dispatch")
    if outcome.held:
        lines.append(outcome.held)
    if outcome.stopped and outcome.unexplained:
        lines.append(f"{_runs_are(outcome.unexplained)} left: not started, or stopped with a checkpoint")
    elif outcome.unexplained:
        was = "was" if outcome.unexplained == 1 else "were"
        lines.append(
            f"{many(outcome.unexplained, 'run')} {was} not trained, for no known reason; see the workers' logs"
        )
    return lines


def _runs_are(n: int) -> str:
    return f"{many(n, 'run')} {'is' if n == 1 else 'are'}"
