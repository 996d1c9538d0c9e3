"""A law that joins the registry while the program runs is fitted, drawn, tabulated and listed like any other."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import fit
from analysis.__main__ import main
from analysis.estimates.backtest import backtest
from analysis.figures.equation import as_html, curve_of_fit, equation
from analysis.figures.slices import draw_slices, slice_numbers
from analysis.figures.style import figure_style, panels
from analysis.fitting.card import card_text, parameter_rows
from analysis.laws import LAWS, get_law, joint_laws, laws_of_one_variable, own_law
from analysis.laws.additive import AdditiveLaw
from analysis.numbers import exponent, interval, number
from analysis.table.slices import find_slices
from tests.analysis import worlds
from tests.analysis.worlds import World

LOG_POWER = own_law(
    "log_power",
    lambda p, x: p.floor + p.height * np.log(x.x) ** -p.tau,
    params={"floor": (0.0, 5.0), "height": (1e-2, 1e3), "tau": (0.1, 5.0)},
    inputs=("x",),
    formula="floor + height log(x)^-tau",
    exponents={"tau": "x"},
)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(LAWS, LOG_POWER.name, LOG_POWER)


@pytest.fixture
def sweep():
    """One sweep in D that follows the new law: floor 0.4, height 9, tau 1.3."""
    table = worlds.grid(World(), (16,), tuple(2**k for k in range(8, 18)), seeds=1)
    return table.assign(loss=0.4 + 9.0 * np.log(table["D"]) ** -1.3)


@pytest.mark.usefixtures("registered")
def test_a_new_law_is_fitted_by_its_name(sweep):
    found = fit(sweep, "log_power", x="D", resamples=20)
    assert found.params == pytest.approx({"floor": 0.4, "height": 9.0, "tau": 1.3}, rel=1e-3)
    assert set(found.intervals) == {"floor", "height", "tau"}


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_a_new_law_is_drawn_with_its_equation(sweep):
    found = fit(sweep, "log_power", x="D", resamples=20)
    curve = curve_of_fit(found, "D", 256, 2**17)
    slices = find_slices(sweep, "D")
    with figure_style():
        figure, (ax,) = panels()
        draw_slices(ax, slice_numbers(slices, "loss", [curve], sweep))
        figure.draw_without_rendering()
    [said] = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == f"{equation(found, 'D')}  {curve.interval}  (weak)"
    low, high = found.intervals["tau"]
    assert as_html(equation(found, "D")) == "L = 0.4 + 9 log(D)<sup>−1.300</sup>"
    assert curve.interval == interval((-high, -low), exponent)


@pytest.mark.usefixtures("registered")
def test_a_new_law_has_its_exponents_in_table_and_card(sweep):
    found = fit(sweep, "log_power", x="D", resamples=20)
    rows = {name: value for name, value, _ in parameter_rows(found)}
    assert rows == {"floor": number(found.params["floor"]), "height": number(found.params["height"]), "tau": "1.300"}
    [line] = [line for line in card_text(found).splitlines() if line.startswith("  tau ")]
    assert line.endswith("exponent of D")


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_a_new_law_is_listed_and_tried(capsys, tmp_path, sweep):
    for verb in ("fit", "forecast", "backtest"):
        assert main([verb, "--help"]) == 0
        assert "log_power" in " ".join(capsys.readouterr().out.split())
    sweep.to_csv(tmp_path / "table.csv", index=False)
    assert main(["fit", str(tmp_path / "table.csv"), "--law", "log_power", "--x", "D", "--resamples", "0"]) == 0
    assert "floor + height log(x)^-tau" in capsys.readouterr().out
    assert laws_of_one_variable()[-1] is LOG_POWER
    assert get_law("log_power") is LOG_POWER


@pytest.mark.usefixtures("registered")
@pytest.mark.slow
def test_a_new_law_is_backtested_unasked(sweep):
    found = backtest(sweep, x="D", resamples=0)
    assert {score.law for score in found.scores} == {law.name for law in laws_of_one_variable()}
    assert found.best == "log_power"


def test_laws_that_are_tried_where_none_is_named():
    assert [law.name for law in laws_of_one_variable()] == ["power", "saturating", "shifted", "m3", "m4", "bnsl1"]
    assert [law.name for law in joint_laws()] == ["chinchilla", "kaplan", "coupled", "farseer"]
    assert LOG_POWER not in LAWS.values()


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_exponents_are_parameters_of_their_variables(law):
    assert set(law.exponents) <= set(law.params)
    assert set(law.exponents.values()) <= {*law.inputs, "y"}
    assert law.exponents
    if isinstance(law, AdditiveLaw):
        assert {power.exponent: power.x for power in law.powers}.items() <= law.exponents.items()


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_every_law_is_on_its_page(law):
    page = (worlds.ROOT / "docs" / "laws.md").read_text()
    assert f"`{law.name}`" in page
