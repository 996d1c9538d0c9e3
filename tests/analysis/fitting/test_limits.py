"""How far the engine goes: many rows, many resamples, odd units, and how much it computes."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis.fitting.resample
from analysis import fit
from analysis.errors import Refusal, UserError
from analysis.estimates.backtest import backtest
from analysis.fitting import solver
from analysis.fitting.engine import fit_points
from analysis.fitting.points import Selection, read_points
from analysis.fitting.settings import SearchSettings, Settings
from analysis.laws import LAWS, Law
from analysis.laws.base import Array, Evaluation, Inputs
from tests.default_cases import default_cases

pytestmark = pytest.mark.usefixtures("usual_starts")
P = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.28}


def surface(n: int, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(6, 9, n), 10 ** rng.uniform(8, 11, n)
    loss = P["E"] + P["A"] * N ** -P["alpha"] + P["B"] * D ** -P["beta"]
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(noise * rng.standard_normal(n))})


def within(found: dict[str, tuple[float, float]], truth: dict[str, float]) -> bool:
    return all(low < truth[name] < high for name, (low, high) in found.items())


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many curves of a law are computed while the test runs, by the number of points of each: the engine's work."""
    found: Counter[int] = Counter()
    for kind in {next(k for k in type(law).__mro__ if "evaluate" in vars(k)) for law in LAWS.values()}:

        def counted(law: Law, theta: Array, inputs: Inputs, real: Any = kind.evaluate) -> Evaluation:
            found[len(next(iter(inputs.values())))] += theta.shape[1]
            return real(law, theta, inputs)

        monkeypatch.setattr(kind, "evaluate", counted)
    return found


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Measure the peak memory of Python and numpy, excluding what the process held before."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_of_a_hundred_thousand_rows_few_curves_are_computed_in_full(curves: Counter[int]) -> None:
    """The 64 starts use 4,000 rows, in about 30 steps each; only the optima are refined on all rows."""
    found = fit(surface(100_000))
    assert curves[100_000] < 25
    assert curves[4_000] < 64 * 100
    assert found.params == pytest.approx(P, rel=0.05)
    assert any("sandwich" in line for line in found.warnings)
    assert found.certificate.gradient_norm < 1e-6


@pytest.mark.slow
def test_a_backtest_of_many_rows_refits_none_of_them(curves: Counter[int]) -> None:
    """Of more than 10,000 rows only what the search needs is computed: 10,000 tell how many lie in their intervals."""
    backtest(surface(100_000), ["chinchilla"], by="D")
    assert all(count < 50 for n, count in curves.items() if n > 10_000)


@pytest.mark.slow
def test_a_million_rows() -> None:
    found = fit(surface(1_000_000))
    assert within(found.intervals, P)


@pytest.mark.slow
def test_the_sandwich_is_what_refits_tend_to(monkeypatch: pytest.MonkeyPatch) -> None:
    table = surface(2_000)
    refits = fit(table, resamples=200)
    monkeypatch.setattr(analysis.fitting.resample, "MOST_VALUES", 1)
    drawn = fit(table, resamples=200)
    for name in P:
        assert np.ptp(drawn.intervals[name]) == pytest.approx(np.ptp(refits.intervals[name]), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("resamples", default_cases([1_000, 2_500, 100_000], 1_000))
def test_any_number_of_resamples_takes_little_memory(resamples: int) -> None:
    with peak_memory() as most:
        fit(surface(240), resamples=resamples)
    assert most[0] < 60e6


def test_an_inner_fit_ends_when_most_of_its_starts_agree(curves: Counter[int]) -> None:
    """A majority of starts finds the same optimum as all starts; a fit's certificate uses all of them."""
    table, law = surface(120), LAWS["chinchilla"]
    points = read_points(table, law, y="loss", x=None, space="log", selection=Selection())
    found = []
    for majority in (False, True):
        before = curves[120]
        settings = Settings(search=SearchSettings(resamples=0, starts=16, majority=majority))
        found.append((fit_points(points, law, settings), curves[120] - before))
    (whole, many), (early, few) = found
    assert few < many
    assert early.params == pytest.approx(whole.params, rel=1e-5)
    assert early.certificate.share_at_best > 0.5


def test_a_fit_takes_few_steps(curves: Counter[int]) -> None:
    """240 points with a certificate, from 64 starts of about 50 steps."""
    fit(surface(240), resamples=0)
    assert curves[240] < 64 * 100


@pytest.mark.slow
def test_refits_in_a_flat_valley_settle_in_few_steps(curves: Counter[int]) -> None:
    """Where a floor and a slow decrease in N are confounded, no unconverged start counts as an optimum."""
    N, D = np.repeat(np.geomspace(1e4, 3e6, 12), 25), np.tile(np.geomspace(5e3, 2e6, 5), 60)
    noise = 0.05 * np.random.default_rng(0).standard_normal(300) + 0.15 * np.sin(np.log(D))
    loss = (0.93 * N**-0.037 + 800 * D**-0.84) * np.exp(noise)
    found = fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), resamples=300)
    assert curves[300] < 300 * 300
    assert not any("did not converge" in line for line in found.warnings)
    assert found.certificate.status == "weak"


FITS = "[fit(surface(200), resamples=60).to_json(), fit(surface(99), 'm3', x='D', resamples=9).to_json()]"


@pytest.fixture(scope="module")
def elsewhere() -> tuple[list[str], set[str]]:
    """What `FITS` says in a process with another number of threads, and which packages are imported there."""
    code = (
        f"import json, sys\nimport numpy as np, pandas as pd\nfrom analysis import fit\nP = {P}\n"
        f"{inspect.getsource(surface)}\nprint(json.dumps([{FITS}, sorted(sys.modules)]))\n"
    )
    threads = "2" if os.environ.get("OMP_NUM_THREADS") == "1" else "1"
    other = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=other)
    said, modules = json.loads(done.stdout)
    return said, {name.partition(".")[0] for name in modules}


@pytest.mark.slow
def test_same_digits_on_any_number_of_cores(elsewhere: tuple[list[str], set[str]]) -> None:
    assert elsewhere[0] == eval(FITS)


@pytest.mark.slow
def test_a_fit_imports_little(elsewhere: tuple[list[str], set[str]]) -> None:
    assert "numpy" in elsewhere[1]
    assert not {"scipy", "torch", "matplotlib"} & elsewhere[1]


@pytest.mark.slow
def test_one_m4_fit_takes_few_steps(curves: Counter[int]) -> None:
    y = np.linspace(0.2, 0.9, 20)
    x = (90 * (0.95 - y) ** 0.7 / (y - 0.1)) ** 2.5
    noisy = y * np.exp(0.004 * np.random.default_rng(0).standard_normal(20))
    fit(pd.DataFrame({"D": x, "loss": noisy}), "m4", x="D", objective="lsq", resamples=0)
    assert curves[20] < 500


def same_law(n_unit: float, d_unit: float, y_unit: float, seed: int) -> None:
    table = surface(40, seed=seed)
    scaled = pd.DataFrame({"N": table.N * n_unit, "D": table.D * d_unit, "loss": table.loss * y_unit})
    shuffled = scaled.sample(frac=1, random_state=seed)
    a, b = (fit(t, resamples=0, starts=16) for t in (table, shuffled))
    assert b.params["alpha"] == pytest.approx(a.params["alpha"], rel=1e-5, abs=1e-7)
    assert b.params["beta"] == pytest.approx(a.params["beta"], rel=1e-5, abs=1e-7)
    assert b.objective.value == pytest.approx(a.objective.value, rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_other_units_give_the_same_law() -> None:
    same_law(n_unit=3.1e-22, d_unit=4.7e19, y_unit=8.3e-7, seed=11)


@pytest.mark.slow
@settings(max_examples=5)
@given(
    n_unit=st.floats(1e-30, 1e30),
    d_unit=st.floats(1e-30, 1e30),
    y_unit=st.floats(1e-30, 1e30),
    seed=st.integers(0, 50),
)
@pytest.mark.filterwarnings("error")
def test_any_units_give_the_same_law(n_unit: float, d_unit: float, y_unit: float, seed: int) -> None:
    same_law(n_unit, d_unit, y_unit, seed)


anything = st.floats(allow_nan=True, allow_infinity=True, width=64)
positive = st.one_of(st.floats(1e-300, 1e300), st.floats(0.1, 10.0), st.sampled_from([1.0, 2.0, 1e6]))


nonsense = given(
    rows=st.one_of(
        st.lists(st.tuples(anything, anything, anything), max_size=12),
        st.lists(st.tuples(positive, positive, positive), min_size=6, max_size=14),
    ),
    law=st.sampled_from(["chinchilla", "kaplan", "power", "shifted", "m4", "bnsl1"]),
)


def answered(rows: list[tuple[float, ...]], law: str) -> None:
    table = pd.DataFrame(rows, columns=["N", "D", "loss"], dtype=float)
    try:
        found = fit(table, law, x="D" if law not in ("chinchilla", "kaplan") else None, resamples=10, starts=4)
    except (UserError, Refusal) as refusal:
        said = str(refusal)
    else:
        said = "fitted"
        assert np.isfinite(found.objective.value)
    assert said
    assert "\n" not in said


@pytest.mark.slow
@settings(max_examples=4)
@nonsense
@pytest.mark.filterwarnings("error")
def test_nonsense_gets_an_answer_or_one_sentence(rows: list[tuple[float, ...]], law: str) -> None:
    answered(rows, law)


@pytest.mark.slow
@settings(max_examples=12)
@nonsense
@pytest.mark.filterwarnings("error")
def test_much_nonsense_does_too(rows: list[tuple[float, ...]], law: str) -> None:
    answered(rows, law)


def test_refits_that_do_not_settle_give_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.geomspace(1e3, 1e9, 30)
    y = (0.3 + 8 * x**-0.3) * np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
    monkeypatch.setattr(solver, "MAX_STEPS", 3)
    found = fit(pd.DataFrame({"D": x, "loss": y}), "saturating", x="D", resamples=20)
    assert found.intervals == {}
    assert any(reason.startswith("no interval: 100 % of the refits") for reason in found.certificate.reasons)
    with pytest.raises(Refusal, match="did not converge"):
        found.interval({"D": [1e10]})


def test_curves_of_two_runs_give_no_interval_of_no_width() -> None:
    x = np.geomspace(1e3, 1e9, 30)
    y = 8 * x**-0.3 * np.exp(0.01 * np.random.default_rng(0).standard_normal((2, 30)))
    curves = pd.DataFrame({"D": np.tile(x, 2), "loss": y.ravel(), "run_name": np.repeat(["a", "b"], 30)})
    found = fit(curves, "power", x="D", resamples=20)
    assert found.intervals == {}
    assert "no interval: all points are of one or two runs" in " ".join(found.certificate.reasons)
    low, high = fit(curves, "power", x="D", resamples=20, resample="wild").intervals["alpha"]
    assert low < high


@pytest.mark.parametrize("resample", ["runs", "wild"])
def test_points_of_one_run_give_no_interval(resample: str) -> None:
    x = np.geomspace(1e3, 1e9, 30)
    y = (0.3 + 8 * x**-0.3) * np.exp(0.001 * np.random.default_rng(0).standard_normal(30))
    curve = pd.DataFrame({"D": x, "loss": y, "run_name": "a"})
    found = fit(curve, "saturating", x="D", resamples=20, resample=resample)
    assert found.intervals == {}
    assert found.certificate.status == "weak"
    assert "no interval: all points are of one or two runs" in " ".join(found.warnings)
    assert found.certificate.supported is not None
    with pytest.raises(Refusal, match="no interval: all points are of one or two runs"):
        found.interval({"D": [1e10]})
    assert fit(curve, "saturating", x="D", resamples=20, run_column="none").certificate.status == "ok"


@pytest.mark.slow
def test_a_break_beyond_the_data_is_found_and_weak() -> None:
    x = np.geomspace(1e3, 1e7, 40)
    p = {"E": 0.1, "b": 5.0, "c0": 0.05, "c1": 0.6, "d1": 3e7, "f1": 0.6}
    y = p["E"] + p["b"] * x ** -p["c0"] * (1 + (x / p["d1"]) ** (1 / p["f1"])) ** (-p["c1"] * p["f1"])
    found = fit(pd.DataFrame({"D": x, "loss": y}), "bnsl1", x="D", resamples=0)
    assert found.params["d1"] == pytest.approx(3e7, rel=0.1)
    assert any("d1 lies beyond the data" in reason for reason in found.certificate.reasons)
