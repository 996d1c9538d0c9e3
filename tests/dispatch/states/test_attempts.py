"""Which attempts use up a run's tries."""

from __future__ import annotations

import pytest

from scaling.dispatch.states.attempts import failed_for_good


def killed(*steps):
    return [{"cause": "killed", "step": step} for step in steps]


@pytest.mark.parametrize(
    ("steps", "failed"),
    [
        ((None, None, None), True),
        ((0, 0, 0), True),
        ((10, 20, 30, 40, 50), False),  # killed by the machine again and again, and further each time
        ((10, 10, 10), False),
        ((10, 10, 10, 10), True),
        ((10, 20, 20, 15, 20), True),
    ],
)
def test_a_run_that_gets_further_before_its_worker_is_killed_is_tried_again(steps, failed):
    assert failed_for_good(killed(*steps), retries=0) is failed
    assert failed_for_good(killed(*steps[1:]), retries=0, before=killed(steps[0])) is failed
