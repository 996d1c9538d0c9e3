"""A schedule of the user's is a function of the step, or is refused."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import count
from math import nan
from typing import ClassVar

import pytest

from scaling.errors import UserError
from scaling.schedules.cosine import Cosine
from scaling.schedules.users_schedule import check_users_schedule


@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    kind: str
    calls: count = field(default_factory=count, compare=False, repr=False)

    def factor(self, step, steps):
        if self.kind == "random":
            return random.random()
        if self.kind == "counted":
            return 1 / (1 + next(self.calls))
        if step < 990:
            return 1
        if self.kind == "divided":
            return 1 / (990 - step)
        return {"negative": 1 - step / 990, "nan": nan, "nothing": None}[self.kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("random", r"factor\(0, 1000\) is .* and then .*; wanted the same each time"),
        ("counted", r"factor\(0, 1000\) is 1 and then .*; wanted the same each time"),
        ("negative", r"factor\(991, 1000\) is -0\.00101\d*; wanted a finite number, 0 or more"),
        ("nan", r"factor\(990, 1000\) is nan; wanted a finite number"),
        ("nothing", r"factor\(990, 1000\) fails \(TypeError: .*; wanted a number; mend it"),
        ("divided", r"factor\(990, 1000\) fails \(ZeroDivisionError"),
    ],
)
def test_what_is_no_function_of_the_step_is_refused_each_time(kind, said):
    schedule = Own(kind)
    for _ in range(2):
        with pytest.raises(UserError, match=rf"test_users_schedule\.Own, whose {said}"):
            check_users_schedule(schedule, 1000)


def test_what_fails_only_beyond_a_run_is_not():
    for schedule in (Own("negative"), Own("divided"), Cosine()):
        for steps in (1, 990):
            check_users_schedule(schedule, steps)
