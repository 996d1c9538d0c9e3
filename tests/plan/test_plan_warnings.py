"""A plan says what it can hardly show before a FLOP is spent."""

from __future__ import annotations

import pytest

from scaling.commands.plan_warnings import plan_warnings
from tests.plan.planning import planned

WIDE = "model.width=16,32,64,128,256,512"
BUDGETS = "train.budget=1e8,4e8,1.6e9,6.4e9,2.56e10"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model.width=16,32,64", "train.steps=31"), "fewer than 300 steps in 3 of 3 runs (as few as 31)"),
        (("model.width=16,32,64", BUDGETS), "fewer than 4 sizes at 5 of 5 budgets"),
        (("model.width=16,17,18,19,20", BUDGETS), "5 of 5 budgets N spans less than 4 times"),
        (("model.width=16,17,18,19,20", BUDGETS), "the best size moves by about 16"),
        (("model.width=16,32,64", "train.steps=400,800,1600"), "N and D have 9 settings, and a law of both has five"),
        (
            ("schedule=wsd", "schedule.warmup_steps=500", "train.steps=400,500,800"),
            "schedule.warmup_steps=500 is more than all steps of 1 of 3 runs",
        ),
        ((WIDE, "train.budget=1e8,4e8"), "only 2 budgets have several sizes; a law N*(C) needs 3"),
        ((WIDE, "train.budget=1e8,4e8,1.6e9"), "only 3 budgets have several sizes; to extrapolate N*(C) needs 5"),
    ],
)
def test_a_plan_warns_of_what_it_can_hardly_show(here, arguments, said):
    doubts = plan_warnings(planned("data=teacher", "train.batch=16", *arguments).runs)
    assert any(said in doubt for doubt in doubts)


def test_a_plan_that_carries_its_claim_raises_no_doubt(here):
    budgets = "train.budget=1e11,4e11,1.6e12,6.4e12,2.56e13"
    assert plan_warnings(planned("data=teacher", "train.batch=16", WIDE, budgets).runs) == []
    assert plan_warnings(planned("data=teacher", "train.steps=400", WIDE).runs) == []
