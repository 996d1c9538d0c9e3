"""Which attempts use up a run's tries."""

from __future__ import annotations

import pytest

from scaling.dispatch.states.attempts import failed_for_good, read_attempts
from scaling.folders import RunFolder


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


def test_numbers_that_are_none_are_left_out_of_a_line(tmp_path):
    files = RunFolder(tmp_path)
    lines = [
        '{"cause": "killed", "step": "x", "seconds": [1], "gpu_seconds": 1e999, "stack": null}',
        '{"step": 1e300}',
        "[1]",
        "{",
    ]
    files.attempts.write_text("\n".join([*lines, '{"cause": 3, "step": 4}']))
    assert read_attempts(files) == [{"cause": "killed"}, {}, {"cause": 3, "step": 4}]
    assert not failed_for_good(read_attempts(files), retries=1)
