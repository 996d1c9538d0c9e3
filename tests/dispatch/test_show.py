"""How a sweep, and a run that is alone, look while they are trained."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest

from scaling.dispatch import show
from scaling.dispatch.show import done_share, print_outcome, print_status, view
from scaling.dispatch.states.outcome import Failure, Outcome
from scaling.dispatch.states.state import RunState, State, Status
from scaling.terminal_table import Terminal

RUN = RunState("0" * 12, "model.width=64", State.RUNNING, seconds=10.0, step=2_500, steps=10_000, loss=1.23456)


SAID = [(False, "step 2,500 of 10,000, loss 1.235"), (True, "step 5,000 of 10,000")]


@pytest.mark.parametrize(("terminal", "said"), SAID)
def test_a_run_that_is_alone_shows_how_far_it_is(terminal, said, monkeypatch):
    monkeypatch.setattr(show, "ALONE_SECONDS", 0.0)
    console = Terminal(file=StringIO(), force_terminal=terminal, width=120)
    with view(console) as shown:
        for step in (2_500, 5_000):
            shown.update(Status("single", (replace(RUN, step=step),), 30.0))
    assert said in console.file.getvalue()
    assert "30 s left" in console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_a_live_run_has_a_line_of_its_own_below_the_bar(width):
    console = Terminal(file=StringIO(), force_terminal=True, width=width, no_color=True)
    with view(console) as shown:
        shown.update(Status("single", (RUN,), 30.0))
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert "model.width=64: step 2,500 of 10,000, loss 1.235" in lines


BROKEN = RunState("b" * 12, "model.width=128", State.FAILED, cause="out_of_memory", error="wanted 3 GB", attempts=1)
STARTED = replace(RUN, run_id="c" * 12, state=State.MISSING, attempts=1)
NEVER = replace(RUN, run_id="d" * 12, label="model.width=96", state=State.MISSING, step=None, loss=None, host="node7")
RUNNING = replace(RUN, speed=119_979.0, host="login.cluster.example", job="1234567_89")
SWEEP = Status("mine", (RUNNING, BROKEN, STARTED, NEVER), 30.0)
LOG = "scaling logs results/mine bbbbbbbbbbbb"


def test_where_a_run_is_trained_is_a_worker_here_and_a_job_there():
    assert RUNNING.where == "login.cluster.example 1234567_89"
    assert replace(RUNNING, worker="worker 1", job="13666732840300").where == "login.cluster.example worker 1"
    assert replace(RUNNING, worker="single", job="").where == "login.cluster.example"


def printed(width: int, *, terminal: bool) -> str:
    console = Terminal(file=StringIO(), force_terminal=terminal, width=width, no_color=True)
    print_status(console, SWEEP, every=True, folder="results/mine")
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_what_does_not_fit_leaves_whole_and_is_named(width):
    text = printed(width, terminal=True)
    assert "model.width=64" in text
    assert "not started" in text
    assert "…" not in text
    assert max(len(line) for line in text.splitlines() if line.startswith(("0", "model"))) <= width
    assert "no room for" in text
    assert "examples/s" not in text.split("no room for")[0]


def test_a_pipe_loses_nothing():
    text = printed(60, terminal=False)
    for words in (
        "000000000000",
        "model.width=64",
        "2500/10000 (25%)",
        "1.235",
        "10 s",
        "node7",
        "not started",
        "stopped",
    ):
        assert words in text
    assert "no room for" not in text
    assert printed(20, terminal=False) == text


def test_a_failure_is_told_once_with_the_way_to_its_log():
    console = Terminal(file=StringIO(), force_terminal=False, width=80)
    shown = view(console, "results/mine")
    shown.update(SWEEP)
    failures = (Failure(BROKEN.run_id, BROKEN.label, BROKEN.cause, BROKEN.error),)
    print_outcome(console, Outcome(4, 0, 0, failures), again="again", folder="results/mine", reported=shown.reported)
    assert console.file.getvalue().count(LOG) == 1
    assert printed(80, terminal=False).count(LOG) == 1


def test_all_is_done_by_compute():
    done = replace(RUN, state=State.FINISHED, C=3.0)
    assert done_share(Status("mine", (done, replace(NEVER, C=1.0)))) == 0.75
    assert done_share(Status("mine", (replace(RUN, C=1.0), replace(NEVER, C=1.0)))) == 0.125
    assert done_share(Status("mine", ())) == 0.0


def test_texts_of_users_are_printed_literally():
    console = Terminal(file=StringIO(), width=40)
    sentence = "scaling run results=/data/a:x:b data.file=[red]1:100:2[/red].npz :smile:"
    console.say(sentence)
    assert console.file.getvalue() == f"{sentence}\n"
