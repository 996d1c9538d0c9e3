"""Members that are evaluated together have the scores that each has alone, to the rounding of their products."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from scaling.train.evaluation import evaluate
from scaling.train.stacked import evaluation, stack
from tests.train.stacked.stacks import records, stacked
from tests.train.stacked.test_against_single import CHEAP, PIXELS, SETTINGS

ROUNDING = 1e-6  # relative
BATCH = {"is": "mlp", "width": 12, "depth": 2, "norm": "batch", "dropout": 0.1}
CASES = {
    "a set of its own for each": SETTINGS,
    "sets of several sizes": [
        {"train": {"steps": 40}, "data": {"is": "blobs", "size": size}, "seed": size} for size in (200, 300, 200)
    ],
    "lengths": CHEAP["adamw"],
    "batch norm": [{"train": {"steps": 40}, "model": BATCH, "data": PIXELS, "seed": seed} for seed in range(3)],
    "regression": [{"train": {"steps": 40}, "data": "line", "seed": seed} for seed in range(3)],
    "bf16": [{"train": {"steps": 40, "precision": "bf16"}, "seed": seed} for seed in range(2)],
}


@pytest.mark.parametrize("case", CASES)
def test_the_scores_are_those_of_each_alone(case, tmp_path, monkeypatch):
    seen = []

    def both(members, places, rows):
        found = evaluation.evaluate_together(members, places, rows)
        for member, place, scores in zip(members, places, found, strict=True):
            rows.write_to(member.module, place)
            seen.append((scores, evaluate(member.attempt.run, member.attempt.sets, member.module)))
        return found

    monkeypatch.setattr(stack, "evaluate_together", both)
    records([stacked(keys) for keys in CASES[case]], tmp_path)
    assert len(seen) >= len(CASES[case])
    rounding = 1e-2 if case == "bf16" else ROUNDING
    for found, wanted in seen:
        for mine, own in zip(astuple(found), astuple(wanted), strict=True):
            pairs = zip(mine, own, strict=True)
            assert all(a == (b if b is None else pytest.approx(b, rel=rounding)) for a, b in pairs)


def test_few_examples_at_a_time_give_the_same_scores(tmp_path, monkeypatch):
    runs = [stacked(keys) for keys in CHEAP["adamw"]]
    wanted = [record.points[-1].loss for record in records(runs, tmp_path / "whole")]
    monkeypatch.setattr(evaluation, "EVALUATED_NUMBERS", {"cpu": 8 * 40})
    monkeypatch.setattr(evaluation, "LEAST_ROWS", 20)  # two members, and 20 examples at a time
    found = [record.points[-1].loss for record in records(runs, tmp_path / "parts")]
    assert found == pytest.approx(wanted, rel=ROUNDING)
