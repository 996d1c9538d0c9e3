"""Fits recover laws that are known, whatever the units and the order of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis import Fit, fit
from analysis.errors import Refusal, UserError
from analysis.fitting.intervals import percentile
from analysis.laws import Law, own_law
from tests.default_cases import default_cases

TRUTH = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.28}


def surface(n: int = 60, noise: float = 0.0, seed: int = 0, **changed: float) -> pd.DataFrame:
    p = TRUTH | changed
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(6, 9, n), 10 ** rng.uniform(8, 10.5, n)
    loss = p["E"] + p["A"] * N ** -p["alpha"] + p["B"] * D ** -p["beta"]
    return pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": loss * np.exp(noise * rng.standard_normal(n))})


def test_a_parameter_that_no_run_depends_on_has_no_interval_and_weakens() -> None:
    """Without repeats, R_D stays where its best start was, in each refit too."""
    table = surface(30, noise=0.003)
    found = fit(table.assign(D_unique=10 * table["D"]), "repeated", resamples=20)
    assert found.certificate.status == "weak"
    assert any("R_D has no effect on these runs" in reason for reason in found.certificate.reasons)
    assert "R_D" not in found.intervals
    assert "beta" in found.intervals
    assert "R_D" in repr(found.summary())


def test_parameters_that_the_runs_do_not_tell_apart_have_no_interval() -> None:
    """With two values of N, only E + A N^-alpha at each of them is known: refits stay at the E where a start ends."""
    rng, N, D = np.random.default_rng(1), np.repeat([1e7, 1e8], 8), np.tile(np.geomspace(1e8, 3e10, 8), 2)
    loss = (1.7 + 400 * N**-0.34 + 900 * D**-0.28) * np.exp(0.003 * rng.standard_normal(16))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss})
    found = fit(table, resamples=40)
    assert not found.intervals
    assert "do not tell E, A, alpha apart" in " ".join(found.certificate.reasons)
    assert "A, alpha trade off against each other (condition ∞)" in found.certificate.reasons
    fixed = fit(table, fix={"E": 1.7}, resamples=40)
    assert fixed.params["alpha"] == pytest.approx(0.34, abs=0.02)
    assert fixed.intervals
    assert fit(surface(30, noise=0.003), resamples=40).intervals


def test_one_parameter_that_runs_depend_on_trades_off_with_none() -> None:
    law = own_law("late", lambda p, x: np.where(x.N > 1e30, p.A, p.E), params={"E": (0, 5), "A": (0, 5)}, inputs="N")
    certificate = fit(surface(30), law, resamples=0).certificate
    assert certificate.condition == 1
    assert [reason for reason in certificate.reasons if "trade off" in reason] == []
    assert any(reason.startswith("A has no effect") for reason in certificate.reasons)


def test_a_law_whose_parameters_all_have_no_effect_is_refused() -> None:
    law = own_law("later", lambda p, x: np.where(x.N > 1e30, p.A, 2.0), params={"A": (0.1, 5)}, inputs="N")
    with pytest.raises(Refusal, match="no parameter of the law later has an effect on these runs"):
        fit(surface(30), law, resamples=20)


OTHERS = [{}, {"E": 0.01}, {"alpha": 0.9, "A": 3e6}, {"alpha": 0.05, "A": 3.0}, {"alpha": 0.1, "beta": 0.8, "B": 4e6}]


@pytest.mark.parametrize(
    ("objective", "changed"),
    default_cases(product(["huber", "lad", "lsq"], OTHERS), ("lsq", OTHERS[0]), ("lad", OTHERS[2])),
)
def test_noise_free_surfaces_are_recovered(changed: dict[str, float], objective: str) -> None:
    found = fit(surface(**changed), objective=objective, resamples=0)
    for name, value in (TRUTH | changed).items():
        assert found.params[name] == pytest.approx(value, rel=1e-4), name
    assert found.certificate.share_at_best > 0.3


@pytest.mark.parametrize("space", default_cases(["log", "raw"], "log"))
def test_units_do_not_matter(space: str) -> None:
    table = surface(noise=0.01)
    other = table.assign(N=table.N / 1e6, D=table.D * 1e30, loss=table.loss * 1e-9)
    options = {"space": space, "resamples": 40, "objective": "lsq"}
    a, b = fit(table, **options), fit(other, **options)
    for name in ("alpha", "beta"):
        assert a.params[name] == pytest.approx(b.params[name], rel=1e-6)
        assert a.intervals[name] == pytest.approx(b.intervals[name], rel=1e-4)
    assert a.params["E"] * 1e-9 == pytest.approx(b.params["E"], rel=1e-6)
    at = {"N": [1e10], "D": [1e12]}
    assert a.predict(at) == pytest.approx(b.predict({"N": [1e4], "D": [1e42]}) * 1e9, rel=1e-6)


def test_order_of_rows_does_not_matter() -> None:
    table = surface(noise=0.01)
    a, b = (fit(t, resamples=0).params for t in (table, table.sample(frac=1, random_state=1)))
    assert a == pytest.approx(b, rel=1e-6)


@pytest.mark.slow
def test_same_seed_same_digits() -> None:
    table = surface(noise=0.02)
    one, same, other = (fit(table, resamples=20, seed=seed) for seed in (3, 3, 4))
    assert one.to_json() == same.to_json()
    assert one.intervals != other.intervals


@pytest.mark.parametrize(
    ("resample", "interval"),
    default_cases(
        product(["runs", "points", "wild", "seed"], ["percentile", "bca"]),
        ("runs", "bca"),
        ("wild", "percentile"),
    ),
)
def test_intervals_hold_the_estimate(resample: str, interval: str) -> None:
    table = surface(100, noise=0.01).assign(seed=np.arange(100) % 10)
    found = fit(table, resamples=200, resample=resample, interval=interval)
    for name, (low, high) in found.intervals.items():
        assert low < found.params[name] < high
    low, high = found.interval({"N": [1e8, 1e9], "D": [1e10, 1e11]})
    low_run, high_run = found.interval({"N": [1e8, 1e9], "D": [1e10, 1e11]}, kind="run")
    assert (low < high).all()
    assert (high_run - low_run > high - low).all()


@pytest.mark.parametrize("objective", default_cases(["huber", "lsq"], "lsq"))
def test_wild_intervals_are_about_as_wide_as_those_by_runs(objective: str) -> None:
    table = surface(80, noise=0.01)
    runs, wild = (fit(table, resamples=300, resample=r, objective=objective) for r in ("runs", "wild"))
    for name in ("alpha", "beta"):
        assert 0.6 < np.ptp(wild.intervals[name]) / np.ptp(runs.intervals[name]) < 1.5


def test_milestones_of_a_run_are_drawn_together() -> None:
    table = surface(40, noise=0.02).assign(run_id=[f"r{i}" for i in range(40)])
    rng = np.random.default_rng(0)
    noise = table.loss / surface(40).loss
    copies = [
        table.assign(D=table.D * s, N=table.N, noise=noise * np.exp(1e-4 * rng.standard_normal(40)))
        for s in (1, 2, 4, 8)
    ]
    many = pd.concat(copies)
    p = TRUTH
    many["loss"] = (p["E"] + p["A"] * many.N ** -p["alpha"] + p["B"] * many.D ** -p["beta"]) * many.noise
    by_run, by_point = (fit(many, resamples=200, resample=r, objective="lsq") for r in ("runs", "points"))
    assert by_run.n_runs == 40
    width = lambda f: np.diff(f.intervals["alpha"])[0]  # noqa: E731
    assert width(by_run) > 1.3 * width(by_point)


def test_the_optimum_spends_the_budget_and_is_the_best() -> None:
    found = fit(surface(noise=0.005), resamples=100)
    best = found.allocate(1e20)
    spent = 6 * best.N * best.D
    assert spent == pytest.approx(1e20)
    around = best.N * np.array([0.8, 1.0, 1.25])
    losses = found.predict({"N": around, "D": 1e20 / 6 / around})
    assert losses[1] == losses.min() == pytest.approx(best.loss)
    assert best.N_interval is not None
    assert best.N_interval[0] < best.N < best.N_interval[1]
    steeper = found.allocate(1e21)
    assert np.log10(steeper.N / best.N) == pytest.approx(found.allocation.N_exponent)


def test_the_best_batch_belongs_to_the_optimum() -> None:
    rng, n = np.random.default_rng(0), 90
    table = pd.DataFrame({"N": 10 ** rng.uniform(6, 9, n), "D": 10 ** rng.uniform(8, 10, n)})
    table["batch"] = 2 ** rng.integers(5, 11, n)
    loss = 0.9 + 30 * table.N**-0.25 + 20 * (table.D / table.batch) ** -0.3 + 6 * table.batch**-0.5
    table["loss"] = loss * np.exp(0.002 * rng.standard_normal(n))
    found = fit(table, "steps", resamples=0)
    best = found.allocate(1e18)
    N, D, batch = (np.broadcast_to(x, 3) * np.ones(3) for x in (best.N, best.D, best.batch))
    for other in (
        found.predict({"N": N, "D": D, "batch": batch * [0.7, 1, 1.4]}),
        found.predict({"N": N * [0.7, 1, 1.4], "D": D / [0.7, 1, 1.4], "batch": batch}),
    ):
        assert other[1] == other.min() == pytest.approx(best.loss)
    numeric = Law.elasticity(found.engine.problem.law, *_at(found), "batch")
    assert found.exponents({"N": N, "D": D, "batch": batch})["batch"] == pytest.approx(0, abs=1e-6)
    assert found.engine.problem.law.elasticity(*_at(found), "batch") == pytest.approx(numeric, abs=1e-6)


def _at(found: Fit) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    return found.engine.column, found.engine.problem.inputs


@pytest.mark.slow
def test_repeats_that_overfit_are_followed_and_their_lack_is_refused() -> None:
    rng, n = np.random.default_rng(0), 120
    table = pd.DataFrame({"N": 10 ** rng.uniform(6, 9, n), "D_unique": 10 ** rng.uniform(8, 9.5, n)})
    table["D"] = table.D_unique * 2.0 ** rng.integers(0, 7, n)
    extra = 0.02 * (table.D / table.D_unique - 1) ** 0.8 * (table.N / table.D_unique) ** 0.3
    table["loss"] = (1.7 + 400 * table.N**-0.34 + 900 * table.D**-0.28 + extra) * np.exp(0.003 * rng.standard_normal(n))
    found = fit(table, "overfit", resamples=50, starts=16)
    assert found.certificate.status == "ok"
    assert found.params["rho"] == pytest.approx(0.8, abs=0.05)
    at = {"N": np.full(2, 1e9), "D_unique": np.full(2, 1e9), "D": np.array([6e10, 2.5e11])}
    assert np.diff(found.predict(at)) > 0
    with pytest.raises(Refusal, match="repeats"):
        fit(table.assign(D_unique=table.D), "overfit", resamples=0)


@pytest.mark.slow
def test_an_optimum_without_a_closed_form_is_searched_for() -> None:
    same = own_law(
        "same",
        lambda p, x: p.E + p.A * x.N**-p.alpha + p.B * x.D**-p.beta,
        params={"E": (0, 5), "A": (10, 1e4), "B": (10, 1e4), "alpha": (0.1, 1), "beta": (0.1, 1)},
        inputs=("N", "D"),
    )
    table = surface(noise=0.005)
    closed, searched = (fit(table, law, resamples=20, objective="lsq") for law in ("chinchilla", same))
    assert searched.allocation.at is not None
    assert searched.allocation.N_exponent == pytest.approx(closed.allocation.N_exponent, rel=1e-3)
    for C in (1e16, 1e20, 1e24):
        assert pytest.approx(closed.allocate(C).N, rel=1e-2) == searched.allocate(C).N
        assert searched.allocate(C).loss_after_doubling == pytest.approx(closed.allocate(C).loss_after_doubling)


@pytest.mark.parametrize(
    ("law", "params"),
    [
        ("power", {"a": 3.0, "alpha": 0.2}),
        ("saturating", {"E": 0.5, "a": 30.0, "alpha": 0.25}),
        ("shifted", {"E": 0.2, "a": 100.0, "b": 1e5, "alpha": 0.3}),
    ],
)
def test_one_variable_laws(law: str, params: dict[str, float]) -> None:
    x = np.logspace(3, 9, 25)
    shift, floor = params.get("b", 0.0), params.get("E", 0.0)
    table = pd.DataFrame({"D": x, "loss": floor + params["a"] * (x + shift) ** -params["alpha"]})
    found = fit(table, law=law, x="D", resamples=0)
    assert found.params == pytest.approx(params, rel=1e-3)
    assert found.predict({"D": x}) == pytest.approx(table.loss.to_numpy(), rel=1e-5)
    with pytest.raises(Refusal):
        found.allocate(1e18)


def test_json_has_the_names_of_the_contract() -> None:
    data = json.loads(fit(surface(noise=0.01), resamples=20).to_json())
    assert {
        "law",
        "y",
        "params",
        "intervals",
        "level",
        "objective",
        "n_points",
        "n_runs",
        "certificate",
        "allocation",
    } <= set(data)
    assert {"name", "space", "delta", "value"} <= set(data["objective"])
    assert {"status", "starts", "share_at_best", "basins", "at_bound", "gradient_norm", "condition"} <= set(
        data["certificate"]
    )
    assert {"N_exponent", "D_exponent", "N_exponent_interval"} <= set(data["allocation"])


def test_a_fit_is_a_frozen_value() -> None:
    found = fit(surface(noise=0.01), resamples=0)
    assert isinstance(found, Fit)
    with pytest.raises(AttributeError):
        found.law = "other"  # type: ignore[misc]
    with pytest.raises(UserError, match="resamples"):
        found.interval({"N": 1e8, "D": 1e9})


def broken(**columns: object) -> pd.DataFrame:
    return surface(noise=0.01).assign(**columns)


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        (surface()[:3], Refusal, "3 points"),
        (broken(N=1e6), Refusal, "one value of N"),
        (broken(loss=2.0), Refusal, "same response"),
        (broken(loss=np.nan), UserError, "finite"),
        (broken(loss=np.inf), UserError, "finite"),
        (broken(loss=0.0), UserError, "no logarithm"),
        (broken(loss=-1.0), UserError, "no logarithm"),
        (broken(N=-1.0), UserError, "positive"),
        (broken(N="many"), UserError, "wanted numbers"),
        (surface().drop(columns="N"), UserError, "no column 'N'"),
        (surface().drop(columns="loss"), UserError, "no column 'loss'"),
        (surface()[:0], UserError, "no row"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_broken_tables_get_a_sentence(table: pd.DataFrame, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        fit(table, resamples=20)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_some_bad_rows_are_left_out_and_said() -> None:
    table = surface(noise=0.01)
    table.loc[3, "loss"] = np.nan
    found = fit(table, resamples=20)
    assert found.n_points == 59
    assert any("finite" in line for line in found.card["left_out"])


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_every_row_four_times_is_every_row_once() -> None:
    table = surface(noise=0.01)
    found = fit(pd.concat([table] * 4), resamples=30)
    assert found.n_points == 60
    assert found.params == pytest.approx(fit(table, resamples=0).params, rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_loss_that_does_not_depend_on_N_is_refused_or_said() -> None:
    table = surface()
    table["loss"] = 2 + 900 * table.D**-0.28
    try:
        found = fit(table, resamples=20)
    except Refusal as refusal:
        assert "A" in str(refusal) or "alpha" in str(refusal)  # noqa: PT017
    else:
        assert found.certificate.status == "weak"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"law": "chincilla"}, "chinchilla"),
        ({"objective": "mse"}, "huber, lad or lsq"),
        ({"space": "sqrt"}, "log or raw"),
        ({"delta": -1.0}, "positive"),
        ({"level": 95}, "between 0 and 1"),
        ({"resample": "rows"}, "runs, points, seed, wild"),
        ({"resample": "seed"}, "rows without a seed"),
        ({"x": "D"}, "leave x out"),
        ({"law": "power", "x": "width"}, "width"),
        ({"law": "power", "x": "loss"}, "loss as both the response and an input"),
        ({"y": "N"}, "N as both the response"),
    ],
)
def test_unknown_options_list_the_legal_ones(option: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        fit(surface(noise=0.01), **{"resamples": 10, **option})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_no_floor_is_said() -> None:
    found = fit(surface(noise=0.0, E=0.0), resamples=0)
    assert any("E is zero" in line for line in found.warnings)


@pytest.mark.parametrize(("shift", "status"), [(0.0, "ok"), (-0.1, "weak")])
def test_no_floor_weakens_only_where_the_points_ask_for_less_than_none(shift: float, status: str) -> None:
    x = np.geomspace(1e5, 1e9, 20)
    loss = (60 * x**-0.25 + shift) * np.exp(0.004 * np.random.default_rng(1).standard_normal(20))
    found = fit(pd.DataFrame({"D": x, "loss": loss}), "saturating", x="D", resamples=60, starts=4)
    assert found.certificate.status == status
    said = {"ok": "E may be zero, and is at most 0.00", "weak": "weak fit: E is zero"}[status]
    assert any(line.startswith(said) for line in found.warnings)


def test_an_interval_is_open_where_more_refits_than_its_tail_have_no_value() -> None:
    low, high = percentile(np.array([[1.0, 2.0, 3.0, np.nan, np.nan]]), 0.8)[0]
    assert low == pytest.approx(1.4)
    assert high == np.inf
