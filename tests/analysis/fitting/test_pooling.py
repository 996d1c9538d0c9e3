"""Several kinds of runs in one table are reported, and refused where pooling them changes an exponent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.errors import Refusal
from analysis.estimates.frontier import frontier
from analysis.estimates.isoflop import isoflop
from analysis.estimates.mixed_kinds import refuse_mixed_kinds
from analysis.table.remarks import remarks_of
from analysis.table.select import select_rows
from tests.analysis.worlds import World
from tests.analysis.worlds import isoflop as simulated


def table(seed: int = 0, n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = np.exp(rng.uniform(np.log(1e5), np.log(1e8), n)), np.exp(rng.uniform(np.log(1e6), np.log(1e9), n))
    return pd.DataFrame({"N": N, "D": D, "loss": World().loss(N, D) * np.exp(0.004 * rng.standard_normal(n))})


def kinds(of: pd.DataFrame, *, large: bool, seed: int = 1) -> np.ndarray:
    """Return the kind of each run, 0 or 1: by lot, or rather 1 for large ones."""
    rng = np.random.default_rng(seed)
    if large:
        return (of["N"].to_numpy() * np.exp(rng.normal(0, 1, len(of))) > 3e6).astype(int)
    return (rng.random(len(of)) < 0.5).astype(int)


def test_kinds_that_do_not_differ_are_pooled_and_said():
    runs, column = table(), "experiment"
    found = fit(runs.assign(**{column: np.array(["a", "b"])[kinds(runs, large=False)]}), resamples=50)
    assert found.certificate.status == "ok"
    assert f"runs of 2 values of {column} (a, b) are pooled; they do not differ visibly" in found.warnings


def test_kinds_whose_difference_others_hide_are_said_to_differ():
    """Runs of one data set differ by their tokenizer; another data set makes up for it on average."""
    runs = table()
    third = np.arange(len(runs)) % 3
    tokenizer, data, factor = (np.array(values)[third] for values in (["a", "b", "a"], ["x", "x", "y"], [1, 1.08, 1.2]))
    said = fit(runs.assign(tokenizer=tokenizer, data=data, loss=runs["loss"] * factor), resamples=0).warnings
    assert any("values of tokenizer (a, b) are pooled; they differ among runs of one data (p" in text for text in said)
    said = fit(
        runs.assign(tokenizer=np.array(["a", "b"])[kinds(runs, large=False)], data=data, loss=runs["loss"] * factor),
        resamples=0,
    ).warnings
    assert not any("differ among" in text for text in said)


def test_kinds_that_move_an_exponent_by_less_than_its_digits_are_pooled():
    """As those of a table without noise, whose intervals have no width."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e10, 6)))
    runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 400 * D**-0.28})
    assert (
        fit(runs.assign(arch=np.random.default_rng(4).choice(["a", "b"], 36)), resamples=20).certificate.status == "ok"
    )


@pytest.mark.slow
def test_kinds_that_move_an_exponent_are_refused_unless_pooled():
    runs = table()
    kind = kinds(runs, large=True)
    mixed = runs.assign(dataset=np.array(["a", "b"])[kind], loss=runs["loss"] * np.where(kind, 1.2, 1.0))
    with pytest.raises(Refusal, match=r"values of dataset \(a, b\).*alpha would be 0\.\d.*--pool \"dataset\""):
        fit(mixed, resamples=50)
    for resamples in (0, 50):
        found = fit(mixed, resamples=resamples, pool=["dataset"])
        assert any("values of dataset" in text and " would be " in text for text in found.warnings)
    alone = fit(mixed, resamples=0, where="dataset == 'a'")
    assert not any("pooled" in text for text in alone.warnings)


def test_kinds_of_two_exponents_are_refused():
    rng = np.random.default_rng(0)
    N, adam = np.repeat(np.geomspace(1e6, 1e9, 15), 2), np.tile([True, False], 15)
    loss = 5 * (N / 3e7) ** np.where(adam, -0.1, -0.05) * np.exp(0.003 * rng.standard_normal(30))
    runs = pd.DataFrame({"N": N, "loss": loss, "optimizer": np.where(adam, "adam", "sgd")})
    with pytest.raises(Refusal, match=r"alpha of adam alone is 0\.10\d?.* of sgd alone 0\.0"):
        fit(runs, "power", x="N", resamples=50)


def test_of_many_columns_the_worst_are_named_and_the_others_counted():
    rng, runs = np.random.default_rng(4), table()
    many = {f"tag_{i}": np.array(["a", "b"])[rng.integers(0, 2, len(runs))] for i in range(30)}
    found = fit(runs.assign(**many), resamples=0)
    said = [text for text in found.warnings if "pooled" in text]
    assert len(said) < 6
    assert any("tag_0, tag_1" in text and "they do not differ visibly" in text for text in said)
    rows = select_rows(runs.assign(**many), y="loss")[0]
    said = [text for text in remarks_of(rows) if "pooled" in text]
    assert said == ["30 columns of several values each (tag_0, tag_1, tag_2, tag_3 and 26 more) are pooled"]
    kind = kinds(runs, large=True)
    mixed = runs.assign(**many, dataset=np.array(["a", "b"])[kind], loss=runs["loss"] * np.where(kind, 1.2, 1.0))
    with pytest.raises(Refusal, match=r"values of dataset \(a, b\).*--pool \"dataset\""):
        fit(mixed, resamples=0)


def test_kinds_of_two_exponents_are_seen_among_many_columns():
    rng = np.random.default_rng(0)
    N, adam = np.repeat(np.geomspace(1e6, 1e9, 15), 2), np.tile([True, False], 15)
    loss = 5 * (N / 3e7) ** np.where(adam, -0.1, -0.05) * np.exp(0.003 * rng.standard_normal(30))
    many = {f"tag_{i}": np.array(["a", "b"])[rng.integers(0, 2, 30)] for i in range(10)}
    runs = pd.DataFrame({"N": N, "loss": loss, **many, "optimizer": np.where(adam, "adam", "sgd")})
    with pytest.raises(Refusal, match=r"alpha of adam alone is 0\.10\d?.* of sgd alone 0\.0"):
        fit(runs, "power", x="N", resamples=0)


def test_a_rate_that_follows_the_size_cannot_be_told_from_it():
    runs = table()
    found = fit(runs.assign(lr=1e-3 * (runs["N"] / 1e6) ** -0.3), resamples=0)
    assert any("lr" in text and "goes with one N" in text for text in found.warnings)


def test_a_rate_beside_the_size_is_weighed():
    runs = table()
    lr = np.exp(np.random.default_rng(2).normal(np.log(3e-3), 1, len(runs)))
    far = np.log(lr / 3e-3)
    with pytest.raises(Refusal, match=r"of lr .*: with its effect taken out, alpha would be 0.3"):
        fit(runs.assign(lr=lr, loss=runs["loss"] * np.exp(0.03 * far**2)), resamples=0)


def test_kinds_whose_curves_cross_are_refused_though_their_mean_factor_is_one():
    runs, kind = table(n=36), np.arange(36) % 2  # too few of each kind to be fitted alone
    crossed = runs["loss"] * (runs["N"] / np.exp(np.log(runs["N"]).mean())) ** np.where(kind, -0.05, 0.0)
    mixed = runs.assign(setup=np.where(kind, "b", "a"), loss=crossed)
    with pytest.raises(Refusal, match=r"setup \(a, b\) are pooled, and 9\d.* % of the scatter .* from size to size"):
        fit(mixed, resamples=0)
    assert any("from size to size" in text for text in fit(mixed, resamples=0, pool=["setup"]).warnings)
    wrong = runs.assign(setup=np.where(kind, "b", "a"), loss=runs["loss"] * (1 + 0.02 * np.sin(2 * np.log(runs["N"]))))
    assert any("do not differ visibly" in text for text in fit(wrong, resamples=0).warnings)


@pytest.mark.slow
def test_milestones_under_a_run_s_name_widen_the_intervals():
    rng = np.random.default_rng(3)
    N = np.repeat(np.geomspace(1e5, 1e8, 12), 8)
    D = np.tile(1e6 * 2.0 ** np.arange(8), 12)
    luck = np.repeat(rng.normal(0, 0.01, 12), 8)
    runs = pd.DataFrame({"N": N, "D": D, "loss": World().loss(N, D) * np.exp(luck + 0.001 * rng.standard_normal(96))})
    named = fit(runs.assign(run_name=np.repeat([f"r{i}" for i in range(12)], 8)), resamples=100)
    assert (named.n_points, named.n_runs) == (96, 12)
    bare = fit(runs, resamples=100)
    assert np.ptp(named.intervals["alpha"]) > 1.5 * np.ptp(bare.intervals["alpha"])


@pytest.mark.slow
def test_optima_of_two_kinds_are_refused_where_one_alone_says_otherwise():
    worlds = {"a": World(alpha=0.5, beta=0.2, A=40.0, B=5.0, E=0.01, noise=0.001), "b": World(noise=0.001)}
    columns = ["N", "D", "C", "loss", "seed", "budget"]
    runs = pd.concat([simulated(world, seeds=2)[columns].assign(dataset=name) for name, world in worlds.items()])
    rows = select_rows(runs, y="loss")[0]
    with pytest.raises(Refusal, match=r"values of dataset \(a, b\).* of a alone, .*--pool \"dataset\""):
        isoflop(rows, resamples=50)
    best = frontier(rows, resamples=50)
    assert any("values of dataset (a, b) are pooled" in text for text in best.warnings)
    pooled = isoflop(select_rows(runs, y="loss", pool=["dataset"])[0], resamples=50)
    assert any("values of dataset (a, b) are pooled" in text for text in pooled.warnings)
    alike = runs[runs["dataset"] == "b"].assign(dataset=lambda one: np.where(one["seed"] == 0, "x", "y"))
    assert isoflop(select_rows(alike, y="loss")[0], resamples=50).warnings


def test_of_many_columns_only_those_that_may_differ_are_fitted_alone():
    rng = np.random.default_rng(0)
    worlds = {"a": World(alpha=0.5, beta=0.2, A=40.0, B=5.0, E=0.01, noise=0.001), "b": World(noise=0.001)}
    columns = ["N", "D", "C", "loss", "seed", "budget"]
    runs = pd.concat([simulated(world, seeds=2)[columns].assign(dataset=name) for name, world in worlds.items()])
    runs = runs.assign(**{f"tag_{i}": rng.choice(["a", "b"], len(runs)) for i in range(20)})
    rows = select_rows(runs, y="loss")[0]
    asked = []
    refuse_mixed_kinds(rows, None, asked.append, y="loss")
    assert len(asked) < 8
    with pytest.raises(Refusal, match=r"values of dataset \(a, b\).* of a alone, .*--pool \"dataset\""):
        isoflop(rows, resamples=50)


def test_a_label_by_lot_refuses_no_optima():
    rng = np.random.default_rng(2)
    C = np.repeat(np.geomspace(1e17, 1e20, 6), 9)
    N = 0.12 * (C / 6) ** 0.4516 * np.tile(10 ** np.linspace(-0.8, 0.8, 9), 6)
    D = C / 6 / N
    loss = (1.7 + 400 * N**-0.34 + 900 * D**-0.28) * np.exp(0.008 * rng.standard_normal(54))
    label = list("baabbbaaabbaaabbbababbbaaabbbbabaabbaaaaabbbbbbaaaabab")  # one of 80 by lot: intervals are apart
    rows = select_rows(pd.DataFrame({"N": N, "D": D, "C": C, "loss": loss, "label": label}), y="loss")[0]
    assert any("values of label (a, b) are pooled" in text for text in isoflop(rows, resamples=200).warnings)
