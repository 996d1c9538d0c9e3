"""How a sweep, and a run that is alone, look while they are trained."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from scaling.dispatch import show
from scaling.dispatch.show import view
from scaling.dispatch.states.state import RunState, State, Status

RUN = RunState("0" * 12, "model.width=64", State.RUNNING, seconds=10.0, step=2_500, steps=10_000, loss=1.23456)


SAID = [(False, "step 2,500 of 10,000, loss 1.235"), (True, "5000/10000 (50%)")]


@pytest.mark.parametrize(("terminal", "said"), SAID)
def test_a_run_that_is_alone_shows_how_far_it_is(terminal, said, monkeypatch):
    monkeypatch.setattr(show, "ALONE_SECONDS", 0.0)
    console = Console(file=StringIO(), force_terminal=terminal, width=120)
    with view(console) as shown:
        for step in (2_500, 5_000):
            shown.update(Status("single", (replace(RUN, step=step),), 30.0))
    assert said in console.file.getvalue()
    assert "30 s left" in console.file.getvalue()
