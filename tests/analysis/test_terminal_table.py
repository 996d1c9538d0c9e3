"""Tables on terminals of any width: nothing is lost, and what is copied stays whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from analysis.console import console
from analysis.terminal_table import table

RUN, ENDS, PROSE = "train.budget=2e+08 model.width=4 seed=0", "[1.774, 1.970]", "the law's shape"
HEADS, ROWS = ("candidate", "expected", "95 % of a run", "approach"), [(RUN, "1.869", ENDS, PROSE)] * 2


def printed(width: int, rows=ROWS) -> list[str]:
    out = Console(width=width, file=io.StringIO())
    out.print(table(HEADS, rows, right=[1], whole=[0]))
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 90, 60, 30])
def test_nothing_is_lost_and_what_is_copied_stays_whole(width):
    lines = printed(width)
    words = " ".join(lines).split()
    assert all(word in words or f"{word}," in words for said in (*HEADS[1:], *ROWS[0]) for word in said.split())
    if width >= 60:
        assert sum(RUN in line for line in lines) == 2
        assert sum(ENDS in line for line in lines) == 2


def test_a_row_without_room_is_said_below_its_name():
    assert [line.rstrip() for line in printed(60, ROWS[:1])] == [
        RUN,
        "  expected 1.869, 95 % of a run [1.774, 1.970], approach the",
        "  law's shape",
    ]
    assert printed(60, [(RUN, "", "", PROSE)])[1].strip() == f"approach {PROSE}"


def test_prose_is_broken_before_numbers():
    lines = printed(len(RUN) + 2 + 8 + 2 + len(ENDS) + 2 + len("approach"))
    assert lines[0].startswith("candidate")
    assert lines[1].endswith("the     ")
    assert RUN in lines[1]
    assert ENDS in lines[1]


def test_a_pipe_breaks_no_line(capsys):
    console().print("word " * 200)
    assert len(capsys.readouterr().out.splitlines()) == 1
