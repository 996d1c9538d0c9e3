"""What sweeps/decades.yaml promises: five decades of curves that can be read, few stacks, cheap first decades."""

from __future__ import annotations

from collections import defaultdict

from scaling.commands.plan_warnings import plan_warnings
from scaling.plan.identity import stack_key
from tests.plan.planning import planned

FIRST = "train.budget=1e9,3e9,1e10,3e10,1e11"


def test_every_budget_brackets_its_best_size_and_runs_of_a_width_share_their_stacks():
    plan = planned("sweep=decades")
    sizes, batches, stacks = defaultdict(set), defaultdict(set), set()
    for run in plan.runs:
        quantities = run.quantities
        sizes[quantities.budget].add(quantities.counts.N)
        batches[quantities.budget].add(quantities.batch)
        stacks.add(stack_key(run.config, quantities))
    budgets = sorted(sizes)
    assert (budgets[0], budgets[-1]) == (1e9, 1e14)
    for budget, N in sizes.items():
        best = 7_500 * (budget / 1e10) ** 0.38
        assert min(N) < best / 1.7
        assert max(N) > best * 1.7
    assert plan_warnings(plan.runs) == []
    assert [batches[budget] for budget in budgets[::2]] == [{64}, {160}, {400}, {1000}, {2500}, {6250}]
    assert len(stacks) < len(plan.runs) / 3
    assert {run.row()["batch_rule"] for run in plan.runs} != {""}


def test_the_first_decades_are_a_fraction_of_the_whole_and_the_same_runs():
    whole, first = ({run.run_id: run for run in planned("sweep=decades", *more).runs} for more in ((), (FIRST,)))
    assert set(first) <= set(whole)
    assert sum(run.quantities.C for run in first.values()) < 3e12
