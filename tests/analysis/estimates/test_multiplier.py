"""The compute multiplier recovers a known value, and groups that cannot be compared are refused."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import fit, verbs
from analysis.errors import Refusal, UserError
from analysis.estimates.multiplier import compare, compare_fits
from analysis.estimates.pairs_of_refits import recentred, with_weighted_refits
from analysis.figures.comparison import comparison_numbers
from tests.analysis.worlds import World, pair, small

QUICK = {"resamples": 60, "starts": 6}


def test_the_multiplier_that_was_put_in_comes_out():
    found = compare(pair(1.3, np.random.default_rng(1)), **QUICK)
    assert found.interval[0] < 1.3 < found.interval[1]
    assert found.interval[1] < 1.4
    assert "b is better than a" in found.verdict
    assert found.trend_interval[0] < 0 < found.trend_interval[1]
    assert all(one.shared for one in found.exponents)
    assert {one.name for one in found.exponents} == {"alpha", "beta", "N* exponent"}
    assert found.runs_for[1.05] > found.runs_for[1.5]
    assert found.turns is None or found.turns > found.C_range[1]
    assert re.match(r"b needs 1\.\d+× less compute \[1\.\d+×, 1\.\d+×\] than a for the same loss", found.sentence)
    said = json.loads(found.to_json())
    assert said["multiplier"] == found.multiplier
    assert said["shared"]["alpha"] is True


@pytest.mark.slow
def test_the_other_way_round_it_is_the_inverse():
    groups = pair(1.3, np.random.default_rng(2))
    found = compare(groups, **QUICK)
    turned = compare({name: groups[name] for name in ("b", "a")}, **QUICK)
    assert turned.multiplier == pytest.approx(1 / found.multiplier, rel=0.01)
    assert "b is better than a" in turned.verdict
    assert turned.sentence.startswith("b needs 1.")
    for one in (found, turned):
        numbers = comparison_numbers(one)
        assert [side.name for side in numbers.sides] == [one.first, one.second]
        assert len(numbers.sides[0].C) == len(groups["a"])
        assert numbers.multiplier.y[0] == pytest.approx(one.points[0].multiplier)
        assert numbers.multiplier.x[-1] >= 9 * one.C_range[1]
        assert numbers.turns is None or numbers.turns < numbers.multiplier.x[-1]


@pytest.mark.slow
def test_a_column_and_a_second_table_say_the_same_in_python():
    groups = pair(1.3, np.random.default_rng(2))
    both = pd.concat([rows.assign(optim=name) for name, rows in groups.items()])
    by = verbs.compare(both, by="optim", values=("b", "a"), **QUICK)
    assert (by.first, by.second) == ("b", "a")
    beside = verbs.compare(groups["b"], groups["a"], **QUICK)
    assert (beside.first, beside.multiplier) == ("first", pytest.approx(by.multiplier))
    assert pickle.loads(pickle.dumps(by)).to_dict() == by.to_dict()
    assert "b over a" in verbs.plot(by).get_ylabel()
    with pytest.raises(UserError, match="no by or other"):
        verbs.compare(both)


def test_two_of_a_kind_are_not_told_apart():
    found = compare(pair(1.0, np.random.default_rng(3), World(noise=0.02)), **QUICK)
    assert found.verdict == "the runs do not show which one is better"


def test_the_same_runs_twice_are_not_told_apart():
    rows = small(World())
    assert compare({"a": rows, "b": rows}, resamples=20).verdict == "the runs do not show which one is better"


def width(found):
    return np.log(found.interval[1] / found.interval[0])


def test_refits_of_two_groups_deviate_apart_also_where_their_runs_lie_in_the_same_places():
    groups = pair(1.3, np.random.default_rng(10))
    drawn, wild = (width(compare(groups, resample=kind, resamples=200, starts=6)) for kind in ("runs", "wild"))
    assert 0.75 < wild / drawn < 1.3


def test_refits_of_few_runs_jump_less_than_those_of_drawn_runs():
    fewer = {name: rows.iloc[::3] for name, rows in pair(1.3, np.random.default_rng(11)).items()}
    fits = {name: fit(rows, resamples=300, starts=6) for name, rows in fewer.items()}
    found = {name: with_weighted_refits(one) for name, one in fits.items()}
    assert width(compare_fits(found)) < 0.97 * width(compare_fits(fits))
    squares = fit(fewer["a"], objective="lsq", resamples=20, starts=2)
    assert with_weighted_refits(squares) is squares  # its refits do not jump


@pytest.mark.slow
def test_another_exponent_shows_as_a_trend():
    groups = pair(1.0, np.random.default_rng(4))
    other = World(alpha=0.36)
    b = groups["b"]
    noise = np.exp(other.noise * np.random.default_rng(5).standard_normal(len(b)))
    found = compare({"a": groups["a"], "b": b.assign(loss=other.loss(b.N, b.D) * noise)}, **QUICK)
    assert found.trend_interval[0] > 0
    assert not next(one for one in found.exponents if one.name == "alpha").shared


def test_a_law_of_compute_alone_will_do():
    groups = pair(1.3, np.random.default_rng(6), World(noise=1e-4))
    best = {name: rows.loc[rows.groupby("C").loss.idxmin()] for name, rows in groups.items()}
    found = compare(best, "power", x="C", **QUICK)
    assert found.multiplier == pytest.approx(1.3, rel=0.05)


def test_a_law_that_does_not_fit_is_called_weak():
    found = compare(pair(1.3, np.random.default_rng(6)), "power", x="C", **QUICK)
    assert {text.partition(": ")[0] for text in found.warnings if "weak fit: " in text} == {"a", "b"}


@pytest.mark.slow
def test_what_does_not_overlap_is_refused():
    groups = pair(1.1, np.random.default_rng(7))
    far = groups["b"].assign(D=groups["b"].D * 1e3, C=groups["b"].C * 1e3)
    with pytest.raises(Refusal, match="wanted runs over the same range"):
        compare({"a": groups["a"], "b": far}, **QUICK)
    with pytest.raises(Refusal, match="reaches none of the losses"):
        compare({"a": groups["a"], "b": groups["b"].assign(loss=groups["b"].loss / 10)}, **QUICK)


def test_the_interval_is_about_the_estimate():
    best, samples = np.array([1.0, 2.0]), np.random.default_rng(0).gamma(2.0, size=(101, 2))
    shifted = recentred(best, samples)
    assert np.median(shifted, axis=0) == pytest.approx(best)
    assert np.ptp(shifted, axis=0) == pytest.approx(np.ptp(samples, axis=0))
    lost = recentred(np.array([0.0]), np.array([[-1.0], [0.0], [np.inf]]))
    assert lost[:, 0].tolist() == [-1.0, 0.0, 50.0]


def test_bad_input_is_told():
    groups = pair(1.1, np.random.default_rng(8))
    with pytest.raises(Refusal, match="b: found 4 points"):
        compare({"a": groups["a"], "b": groups["b"].head(4)}, **QUICK)
    with pytest.raises(UserError, match="found 1 group"):
        compare({"a": groups["a"]}, **QUICK)
    with pytest.raises(UserError, match="--resamples 0"):
        compare(groups, resamples=0)


def test_a_law_whose_refits_did_not_settle_is_refused_by_name():
    groups = pair(1.1, np.random.default_rng(8))
    one, two = (fit(rows, resamples=20, starts=4) for rows in groups.values())
    certificate = replace(one.certificate, reasons=("no interval: 95 % of the refits did not converge",))
    lost = replace(one, certificate=certificate, engine=replace(one.engine, samples=None))
    with pytest.raises(Refusal, match="a has no interval: 95 %"):
        compare_fits({"a": lost, "b": two})


@pytest.mark.slow
def test_on_the_command_line(scaling):
    groups = pair(1.3, np.random.default_rng(9))
    both = [rows.assign(family=name) for name, rows in groups.items()]
    pd.concat(both).to_csv(scaling.folder / "both.csv", index=False)
    for name, rows in groups.items():
        rows.to_csv(scaling.folder / f"{name}.csv", index=False)
    quick = ("--resamples", "20", "--json", "-")
    by = json.loads(scaling("compare", "both.csv", "--by", "family", *quick))
    beside = json.loads(scaling("compare", "a.csv", "--with", "b.csv", *quick))
    assert by["multiplier"] == pytest.approx(beside["multiplier"])
    assert (by["first"], by["second"]) == ("a", "b")
    text = scaling("compare", "both.csv", "--by", "family", *quick[:2])
    assert "for the same loss (95 % interval): b is better than a" in " ".join(text.split())
    assert "wanted two of a, b" in scaling("compare", "both.csv", "--by", "family", "--values", "a,c", code=2)
    assert "no column 'colour'" in scaling("compare", "both.csv", "--by", "colour", code=2)
    assert "--by or --with" in scaling("compare", "both.csv", code=2)


@pytest.mark.slow
def test_it_is_drawn(scaling):
    rows = [rows.assign(family=name) for name, rows in pair(1.3, np.random.default_rng(9)).items()]
    pd.concat(rows).to_csv(scaling.folder / "both.csv", index=False)
    scaling("compare", "both.csv", "--by", "family", "--figures", "--resamples", "60")
    drawn = {path.name for path in (scaling.folder / "figures").iterdir()}
    assert drawn == {f"comparison_family.{kind}" for kind in ("png", "pdf", "svg")}
