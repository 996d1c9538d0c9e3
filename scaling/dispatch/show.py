"""How a sweep looks on a terminal, and in plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scaling.dispatch.states.outcome import Outcome
from scaling.dispatch.states.state import RunState, State, Status
from scaling.numbers import duration

COLOURS = {
    State.FINISHED: "green",
    State.DIVERGED: "yellow",
    State.RUNNING: "cyan",
    State.PENDING: "dim",
    State.FAILED: "red",
    State.MISSING: "magenta",
}
PLAIN_SECONDS = 2.0  # between two plain lines
ALONE_SECONDS = 10.0  # between two plain lines on a run that is alone
ROWS = 16  # of runs in a live table
NAMED_FAILURES = 10  # failures told one by one in plain lines


class View(Protocol):
    """Something that shows a sweep while it runs."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, status: Status) -> None:
        """Show the present state."""

    def say(self, sentence: str) -> None:
        """Say something in between."""


def view(console: Console) -> View:
    """Return a live table on a terminal, plain lines elsewhere."""
    return LiveView(console) if console.is_terminal else PlainView(console)


class LiveView:
    """A table that is drawn again in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, status: Status) -> None:
        """Draw the present state."""
        self._live.update(Group(headline(status), running_table(status)))

    def say(self, sentence: str) -> None:
        """Print a sentence above the table."""
        self._console.print(sentence, highlight=False)


class PlainView:
    """A line now and then: whatever happened since the last one, never more than one line each PLAIN_SECONDS."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()
        self._done = -1
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, status: Status) -> None:
        """Print a line if something changed."""
        for run in status.of(State.FAILED):
            if run.run_id not in self._told and len(self._told) < NAMED_FAILURES:
                self.say(f"failed {run.label}: {run.cause}: {run.error}")
            self._told.add(run.run_id)
        now = time.monotonic()
        running = status.of(State.RUNNING)
        if len(status.runs) == 1 and running and now - self._last >= ALONE_SECONDS:
            self._last = now
            self.say(progress_line(running[0], status.eta_seconds))
            return
        complete = status.settled + len(self._told) == len(status.runs)
        if status.settled == self._done or (now - self._last < PLAIN_SECONDS and not complete):
            return
        self._done, self._last = status.settled, now
        self.say(headline(status).plain)

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def headline(status: Status) -> Text:
    """Return the state of a sweep in one line."""
    counts = status.counts
    text = Text(f"{status.name}: {status.settled}/{len(status.runs)} settled")
    for state in (State.DIVERGED, State.RUNNING, State.PENDING, State.FAILED, State.MISSING):
        if counts[state]:
            text.append(f", {counts[state]} {state}", style=COLOURS[state])
    if status.eta_seconds:
        text.append(f"; about {duration(status.eta_seconds)} left")
    return text


def progress_line(run: RunState, left: float | None) -> str:
    """Return how far one run is: its step, loss and the time left."""
    step = f"step {run.step:,} of {run.steps:,}" if run.step is not None and run.steps else "starting"
    loss = "" if run.loss is None else f", loss {run.loss:.4g}"
    return f"{run.label}: {step}{loss}{f'; about {duration(left)} left' if left else ''}"


def running_table(status: Status) -> Table:
    """Return the runs under way, and the last failures."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "state", "step", "loss", "examples/s", "time", "where"):
        table.add_column(name, justify="left" if name in ("run", "state", "where") else "right", no_wrap=True)
    shown = status.of(State.RUNNING)[:ROWS]
    shown += status.of(State.FAILED)[-(ROWS - len(shown)) :] if len(shown) < ROWS else []
    for run in shown:
        table.add_row(*row(run))
    return table


def row(run: RunState) -> list[Text]:
    """Return one run as cells: label, state, step, loss, speed, time, where (or why it failed)."""
    step = f"{run.step}/{run.steps} ({run.share:.0%})" if run.steps and run.step is not None else ""
    place = run.error or " ".join(part for part in (run.host, run.job) if part)
    cells = [
        run.label,
        run.state.value,
        step,
        "" if run.loss is None else f"{run.loss:.4g}",
        "" if run.speed is None else f"{run.speed:,.0f}",
        "" if run.seconds is None else duration(run.seconds),
        place,
    ]
    return [Text(cell, style=COLOURS[run.state] if index == 1 else "") for index, cell in enumerate(cells)]


def status_table(status: Status, *, every: bool = False) -> Table:
    """Return the runs of a sweep: those that run, failed or diverged; all of them with `every`."""
    table = running_table(Status(status.name, ()))
    interesting = (State.RUNNING, State.FAILED, State.DIVERGED)
    for run in status.runs if every else status.of(*interesting):
        table.add_row(*row(run))
    return table


def print_status(console: Console, status: Status, *, every: bool = False) -> None:
    """Print a sweep: its counts, the runs that stand out, and the notes."""
    console.print(headline(status), highlight=False)
    table = status_table(status, every=every)
    if table.row_count:
        console.print(table)
    for note in status.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def print_outcome(console: Console, outcome: Outcome, *, again: str) -> None:
    """Print how a dispatch ended and, where something is left, the command `again` that goes on."""

    def say(sentence: str) -> None:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    new = outcome.settled - outcome.found
    before = f", {outcome.found} were there already" if outcome.found else ""
    say(f"{outcome.settled}/{outcome.runs} runs settled: {new} now in {duration(outcome.seconds)}{before}")
    for failure in outcome.failures[:NAMED_FAILURES]:
        say(f"failed {failure.run_id} ({failure.label}): {failure.cause}: {failure.error}")
    if len(outcome.failures) > NAMED_FAILURES:
        say(f"and {len(outcome.failures) - NAMED_FAILURES} more failed")
    if outcome.blocked:
        say(f"{outcome.blocked} runs are blocked: what they start from failed, or diverged too early")
    if outcome.elsewhere:
        say(f"{outcome.elsewhere} runs are being trained by another dispatcher")
    if outcome.held:
        say(outcome.held)
    if outcome.unexplained and not outcome.stopped:
        say(f"{outcome.unexplained} runs were not trained, for no known reason; see the workers' logs")
    if outcome.stopped:
        say(f"stopped; nothing is lost; to go on: {again}")
    elif outcome.failures:
        say(f"to try the failed runs again: {again}")
