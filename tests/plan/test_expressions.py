"""Sweep expressions: arithmetic and comparison, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.errors import UserError
from scaling.plan.expressions import parse

VALUES = {"width": 256, "epochs": 60.0, "steps": 90, "model.expansion": 4, "family": "mlp"}


def value(text):
    return parse(text, where="test").evaluate(VALUES.__getitem__)


def test_a_learning_rate_rule():
    assert value("3e-3 * (width / 64) ** -0.5") == pytest.approx(1.5e-3)


def test_names_may_be_config_keys_and_numbers_are_expressions_too():
    assert value("model.expansion * 2") == 8
    assert value(0.25) == 0.25


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["+", "-", "*"]))
def test_arithmetic_is_pythons(a, b, sign):
    ours = parse(f"a {sign} b", where="test").evaluate({"a": a, "b": b}.__getitem__)
    assert ours == {"+": a + b, "-": a - b, "*": a * b}[sign]


def test_chained_comparison_and_logic():
    assert value("50 <= epochs < 61 and not steps > 100 or family == 'mlp'")


def test_the_failing_part_of_a_chain_is_named():
    failed = parse("epochs <= 50 and steps >= 100", where="where").first_false(VALUES.__getitem__)
    assert failed.text == "epochs <= 50"
    assert failed.names() == ["epochs"]
    assert parse("epochs <= 70 and width == 256", where="where").first_false(VALUES.__getitem__) is None


@pytest.mark.parametrize(
    "text", ["width", "epochs <= 70 and width", "family", "not width", "width or steps > 1", "steps - 90", "True and 1"]
)
def test_a_number_or_a_text_is_no_condition(text):
    """It would hold for every cell, or for none."""
    with pytest.raises(UserError, match=r"neither true nor false|wanted a comparison such as"):
        parse(text, where="where").first_false(VALUES.__getitem__)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "open('x')", "[1, 2]", "width if steps else 1", "lambda: 1", "width[0]", "x := 3", "1 +", ""],
)
def test_everything_else_is_refused_by_name(text):
    with pytest.raises(UserError, match="found"):
        parse(text, where="set optim.lr")


@pytest.mark.parametrize("text", ["1 / 0", "9.0 ** 9 ** 9", "(-8) ** 0.5", "family * 1.5", "width != '256'"])
def test_arithmetic_that_fails_is_said(text):
    with pytest.raises(UserError, match=r"\(|wanted"):
        value(text)
