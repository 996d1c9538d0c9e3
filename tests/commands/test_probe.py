"""What `scaling probe` says of a speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling.commands.probe import words_of
from tests.forecast.test_estimate import COSTS, SPEED


@pytest.mark.parametrize("said", ["train.precision=bf16", "model=bottleneck", "~seed"])
def test_what_a_probe_does_not_follow_is_refused(scaling, said):
    assert f"found {said}, which a probe does not follow" in scaling("probe", said, code=2)


def test_a_step_costs_something_in_each_precision():
    """The fit may lay all that does not depend on sizes to the layers: the cost of a step as such is then 0."""
    speed = replace(SPEED, costs={"fp32": COSTS, "bf16": replace(COSTS, step=0.0, layer=2e-4)}, products={"bf16": 2e11})
    head, fp32, bf16 = words_of(speed)
    assert head == "a processor: 0.01 s per run besides its steps; then by precision:"
    assert fp32 == "  fp32: 600 us a step of mlp 64 x 2 at batch 128, 100 GFLOP/s"
    assert bf16.endswith("GFLOP/s (large products 200)")
    assert "bf16: 0 us" not in bf16
