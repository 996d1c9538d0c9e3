"""Laws of which something is known: parameters fixed and tied, and laws of the user's own."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.errors import Refusal, UserError
from analysis.estimates.multiplier import compare
from analysis.fitting.card import signed_rows
from analysis.laws import LAWS, constrained, constrained_each, own_law
from analysis.laws.base import Units
from analysis.verbs import allocate, backtest, fit_frontier, frontier
from tests.analysis.worlds import World

WORLD = World(beta=0.30, noise=0.003)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(np.log(1e5), np.log(1e8), 60)), np.exp(rng.uniform(np.log(1e6), np.log(1e9), 60))
    loss = WORLD.loss(N, D) * np.exp(WORLD.noise * rng.standard_normal(60))
    return pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": loss})


def test_what_is_known_narrows_the_rest(table):
    free = fit(table, resamples=100)
    bound = fit(table, resamples=100, fix={"E": 0.35}, tie={"alpha": "beta"})
    assert bound.params["E"] == 0.35
    assert bound.params["alpha"] == bound.params["beta"] == pytest.approx(0.30, abs=0.01)
    assert bound.intervals["E"] == (0.35, 0.35)
    assert bound.intervals["alpha"] == bound.intervals["beta"]
    assert np.ptp(bound.intervals["beta"]) < 0.5 * np.ptp(free.intervals["beta"])
    assert bound.allocation.N_exponent == pytest.approx(0.5)
    assert bound.certificate.points_per_parameter == 20
    assert bound.card["bound"] == {"E": "fixed", "alpha": "= beta"}
    best = bound.allocate(1e15)
    at = [bound.predict({"N": best.N * f, "D": best.D / f})[0] for f in (0.9, 1.0, 1.1)]
    assert at[1] == min(at)
    assert pickle.loads(pickle.dumps(bound)).params == bound.params


def test_what_is_known_holds_in_every_estimate(table):
    scores = backtest(table, ["chinchilla", "kaplan", "farseer"], fix={"E": 0.35}, resamples=0)
    assert scores.warnings[0] == "chinchilla has E fixed at 0.35"
    assert len(scores.warnings) == 1
    front = frontier(table, resamples=0)
    assert fit_frontier(front, "saturating", fix={"E": 0.35}, resamples=0).params["E"] == 0.35
    split = allocate(table, at=1e16, tie={"alpha": "beta"}, resamples=0)
    assert split.approaches[-1].N_exponent == pytest.approx(0.5)
    for estimate in (backtest, allocate):
        with pytest.raises(UserError, match="no parameter 'Z'"):
            estimate(table, fix={"Z": 1}, resamples=0)


def test_a_law_of_one_named_input_is_fitted_to_a_frontier(table):
    in_compute = own_law(
        "mine", lambda p, x: p.E + p.A * x.C**-p.a, params={"E": (0, 2), "A": (1, 1e5), "a": (0.05, 2)}, inputs="C"
    )
    front = frontier(table, resamples=0)
    theirs = fit_frontier(front, "saturating", resamples=0)
    found = fit_frontier(front, in_compute, resamples=0)
    assert found.params["a"] == pytest.approx(theirs.params["alpha"], rel=1e-3)


def test_a_bound_law_is_written_as_it_was_bound(table):
    rows = signed_rows(fit(table, resamples=0, tie={"alpha": "beta"}))
    assert [row[0] for row in rows] == ["E", "A", "B", "alpha", "beta", "N* exponent", "D* exponent"]
    assert rows[3][1:] == (rows[4][1], "= beta")
    one = fit(table, "saturating", x="C", resamples=0, fix={"E": 0.35})
    assert [row[0] for row in signed_rows(one)] == ["E", "a", "exponent"]


@pytest.mark.slow
@pytest.mark.parametrize("parameter", ["E", "A", "beta"])
def test_fixed_where_it_would_be_the_fit_is_the_same(table, parameter):
    free = fit(table, resamples=0)
    bound = fit(table, resamples=0, fix={parameter: free.params[parameter]})
    assert bound.objective.value == pytest.approx(free.objective.value, rel=1e-7)
    for name, value in free.params.items():
        assert bound.params[name] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(("name", "value"), [("B", -3.0), ("Q", 2.0), ("E", -0.5), ("S", 0.1)])
def test_sizes_of_farseer_may_be_fixed_at_any_sign(name, value):
    units = Units({"N": 17.0, "D": 22.0}, 0.5)
    law = constrained(LAWS["farseer"], {name: value}).bind(units)
    inner = np.stack([np.full(1, 0.2)] * len(law.params))
    outer = law.base.unscale(law.whole(inner), units)
    assert outer[LAWS["farseer"].params.index(name)] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("law", ["m4", "bnsl1", "kaplan", "repeated", "farseer", "shifted"])
def test_derivatives_of_every_bound_law_are_those_of_differences(law):
    rng = np.random.default_rng(1)

    units = Units(dict.fromkeys(LAWS[law].inputs, 3.0), 0.2)
    of = LAWS[law].bind(units)
    inputs = {name: rng.normal(0, 0.5, 7) for name in of.inputs}
    theta = of.starts(inputs, rng.normal(0, 0.2, 7), np.ones(7), 3, rng)
    outer = dict(zip(of.params, of.unscale(theta, units), strict=True))
    name = of.params[1]
    bound = constrained(of, {name: float(outer[name][0])}).bind(units)
    free = bound.scale({key: value[:1] for key, value in outer.items()}, units)
    slopes = [np.broadcast_to(row, (1, 7)) for row in bound.evaluate(free, inputs).gradient()]
    for i in range(len(free)):
        step = np.eye(len(free))[i][:, None] * 1e-6
        ends = [bound.evaluate(free + sign * step, inputs).h for sign in (1, -1)]
        np.testing.assert_allclose(slopes[i], (ends[0] - ends[1]) / 2e-6, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"fix": {"q": 1}}, "no parameter 'q' in the law chinchilla; it has E, A"),
        ({"fix": {"E": "much"}}, "E fixed at 'much'; wanted a number"),
        ({"fix": {"E": -1}}, "E fixed at -1, which the law chinchilla does not allow"),
        ({"fix": {"A": -1}}, "A fixed at -1"),
        ({"fix": {"alpha": 50}}, "alpha fixed at 50"),
        ({"fix": {"E": 1}, "tie": {"E": "A"}}, "E bound twice"),
        ({"tie": {"alpha": "beta", "beta": "alpha"}}, "alpha bound twice"),
        ({"fix": dict.fromkeys(LAWS["chinchilla"].params, 0.5)}, "every parameter of the law chinchilla bound"),
        ({"fix": "E=1"}, "wanted fix="),
    ],
)
def test_what_cannot_be_bound_is_named(table, bound, said):
    with pytest.raises(UserError, match=said):
        fit(table, resamples=0, **bound)


LIMITS = {"E": (0, 2), "A": (0.1, 1e3), "a": (0.05, 2), "B": (0.1, 1e3), "b": (0.05, 2)}


def mine():
    value = lambda p, x: p.E + p.A * x.N**-p.a + p.B * x.D**-p.b  # noqa: E731
    return own_law("mine", value, params=LIMITS, inputs=["N", "D"], exponents={"a": "N", "b": "D"})


@pytest.mark.slow
def test_a_tie_of_parameters_of_different_laws_is_refused():
    laws = [LAWS["power"], LAWS["chinchilla"]]
    with pytest.raises(UserError, match="found a=beta to tie, and no law with both"):
        constrained_each(laws, tie={"a": "beta"})
    assert constrained_each(laws, tie={"alpha": "beta"})[1].params == ("E", "A", "B", "beta")


def test_a_lambda_is_a_law_that_allocates_and_pickles(table):
    found = fit(table, mine(), resamples=20)
    again = pickle.loads(pickle.dumps(found))
    at = {"N": [1e9], "D": [1e10]}
    np.testing.assert_array_equal(again.predict(at), found.predict(at))
    theirs = fit(table, resamples=0).allocate(1e15)
    assert pytest.approx(theirs.N, rel=0.02) == again.allocate(1e15).N


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda p, x: p.E + x.n, "there is no 'n'; it may use p.E, p.A, p.a, p.B, p.b and x.N, x.D"),
        (lambda p, x: p.E + nothing, "NameError: name 'nothing' is not defined"),  # noqa: F821
        (lambda p: 1, "takes 1 positional argument"),
        (lambda p, x: None, "it returns nothing"),
        (lambda p, x: np.ones(7), "could not be broadcast"),
        ("E + A/x", "wanted a function value"),
    ],
)
def test_a_typo_in_a_law_is_said(value, said):
    with pytest.raises(UserError, match=said):
        own_law("mine", value, params=LIMITS, inputs=("N", "D"))


STREAM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda p, x: p.E + p.A * (x.N / x.N.max()) ** -p.a, "at one setting depends on the others"),
        (lambda p, x: p.E + p.A * (x.N**-p.a).sum(), "at one setting depends on the others"),
        (lambda p, x: p.E + p.A * STREAM.random(), "differs from call to call"),
        (lambda p, x: p.E + np.multiply(x.N, 2, out=x.N) ** -p.a, "output array is read-only"),
    ],
)
def test_a_value_that_is_no_function_of_a_setting_alone_is_refused(value, said):
    """Its forecasts would be those of another law than the one fitted."""
    with pytest.raises(UserError, match=said):
        own_law("mine", value, params={"E": (0, 1), "A": (0.1, 10), "a": (0.1, 1)}, inputs="N")


def test_a_value_may_set_names_of_its_own():
    def value(p, x):
        x.N = x.N / 2
        return p.A * x.N**-p.a

    law = own_law("mine", value, params={"A": (0.1, 100), "a": (0.1, 1)}, inputs="N")
    found = fit(pd.DataFrame({"N": 10.0 ** np.arange(8), "loss": 3 * 10.0 ** (-0.25 * np.arange(8))}), law, resamples=0)
    assert found.params == pytest.approx({"A": 3 * 0.5**0.25, "a": 0.25}, rel=1e-3)


@pytest.mark.parametrize(
    ("slopes", "said"),
    [
        (lambda p, x: [np.ones_like(x.C)], "found 1 slopes of the law mine; wanted the derivative by each of E, A"),
        (
            lambda p, x: [np.ones_like(x.C), -1 / x.C],
            "found the slope -0.5 of the law mine by A, where its value has 0.5",
        ),
        (lambda p, x: [p.e, 1 / x.C], "the slopes of the law mine fail: AttributeError: there is no 'e'"),
    ],
)
def test_slopes_that_are_none_are_said(slopes, said):
    limits, value = {"E": (0, 2), "A": (0.1, 10)}, lambda p, x: p.E + p.A / x.C
    with pytest.raises(UserError, match=said):
        own_law("mine", value, params=limits, inputs="C", slopes=slopes)
    own_law("mine", value, params=limits, inputs="C", slopes=lambda p, x: [np.ones_like(x.C), 1 / x.C])


def test_slopes_of_a_term_below_rounding_pass():
    own_law(
        "steep",
        lambda p, x: p.E + p.A * x.C**-p.alpha,
        params={"E": (0, 2), "A": (0, 10), "alpha": (0, 100)},
        inputs="C",
        slopes=lambda p, x: [np.ones_like(x.C), x.C**-p.alpha, -p.A * np.log(x.C) * x.C**-p.alpha],
    )


def test_a_law_of_a_file_and_one_with_a_name_of_ours(table, tmp_path, monkeypatch):
    (tmp_path / "its_laws.py").write_text(
        "from scaling.analysis import own_law\n"
        "LIMITS = {'E': (0, 2), 'A': (1, 1e5), 'a': (0.05, 2)}\n"
        "MINE = own_law('mine', lambda p, x: p.E + p.A * x.C**-p.a, params=LIMITS, inputs='C')\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = fit(table, f"{tmp_path}/its_laws.py:MINE", resamples=0)
    assert found.card["formula"] == "mine(C)"
    assert found.params["a"] == pytest.approx(fit(table, "saturating", x="C", resamples=0).params["alpha"], rel=1e-2)
    both = compare({"a": table, "b": table.assign(loss=table["loss"] * 0.97)}, found.engine.problem.law, resamples=20)
    assert both.multiplier > 1
    with pytest.raises(UserError, match="a law of your own named 'power', as one of ours"):
        fit(table, own_law("power", lambda p, x: p.a / x.C, params={"a": (1, 2)}, inputs="C"))


def test_what_is_no_limit_and_no_exponent_is_said():
    with pytest.raises(UserError, match="found the limits 3 of E"):
        own_law("mine", lambda p, x: p.E, params={"E": 3}, inputs="N")
    with pytest.raises(UserError, match="the exponent 'k'"):
        own_law("mine", lambda p, x: p.E + x.N, params={"E": (0, 1)}, inputs="N", exponents={"k": "N"})
    with pytest.raises(UserError, match=r"found exponents=.*; wanted the variable of each"):
        own_law("mine", lambda p, x: p.E + x.N, params={"E": (0, 1)}, inputs="N", exponents=["E"])
    assert own_law("mine", lambda p, x: p.E + x.N, params={"E": (0, 1)}, inputs="N").inputs == ("N",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resamples": "100"}, "resamples='100'; wanted a whole number"),
        ({"level": "a"}, "level='a'; wanted a number between 0 and 1"),
        ({"delta": "x"}, "delta 'x'; wanted a positive number"),
        ({"law": lambda p, x: 1}, "a function as the law; wanted a name or a law; make a law of it with own_law"),
        ({"law": None}, "a NoneType as the law"),
        ({"where": 5}, "where of type int; wanted a condition"),
        ({"pool": 5}, "found 5; wanted names"),
        ({"starts": "5"}, "starts='5'"),
        ({"y": 3}, "y=3; wanted the name of a column"),
    ],
)
def test_options_of_another_kind_are_said(table, options, said):
    with pytest.raises(UserError, match=said):
        fit(table, **options)


def test_questions_of_another_kind_are_said(table):
    found = fit(table, resamples=0)
    for ask, said in (
        (lambda: found.predict(5), "found a int; wanted"),
        (lambda: found.predict({"N": ["a"], "D": [1]}), "no numbers"),
        (lambda: found.predict({"N": [1, 2], "D": [1, 2, 3]}), "2 of N, 3 of D"),
        (lambda: found.allocate("1e18"), "C='1e18'"),
    ):
        with pytest.raises(UserError, match=said):
            ask()
    with pytest.raises(Refusal, match="no closed inverse"):
        found.reach(1.0)
