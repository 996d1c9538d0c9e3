"""Every law: its derivatives, its units, its closed forms, and that it is found again from its own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.errors import UserError
from analysis.laws import LAWS, Law, get_law, own_law
from analysis.laws.base import Units
from tests.default_cases import default_cases

pytestmark = pytest.mark.usefixtures("usual_starts")
DEAR = ("bnsl2", "repeated", "farseer", "coupled", "overfit", "steps", "m4", "bnsl1", "width_depth")
"""Laws whose search takes most of a second: found again in the slow run, their derivatives always."""
TRUTHS: dict[str, dict[str, float]] = {
    "power": {"a": 3.0, "alpha": 0.2},
    "saturating": {"E": 0.5, "a": 30.0, "alpha": 0.25},
    "shifted": {"E": 0.2, "a": 100.0, "b": 1e5, "alpha": 0.3},
    "m3": {"a": 40.0, "b": 2e-8, "alpha": 0.28},
    "m4": {"E": 0.1, "e0": 0.95, "a": 90.0, "alpha": 0.4, "gamma": 0.7},
    "bnsl1": {"E": 0.1, "b": 5.0, "c0": 0.05, "c1": 0.35, "d1": 2e5, "f1": 0.4},
    "bnsl2": {"E": 0.1, "b": 5.0, "c0": 0.05, "c1": 0.3, "d1": 2e4, "f1": 0.3, "c2": -0.2, "d2": 1e7, "f2": 0.3},
    "chinchilla": {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.28},
    "kaplan": {"Nc": 9e13, "Dc": 5e13, "alpha_N": 0.076, "alpha_D": 0.103},
    "repeated": {"E": 1.9, "A": 500.0, "B": 1800.0, "alpha": 0.35, "beta": 0.36, "R_D": 15.0, "R_N": 5.0},
    "farseer": {"s": -0.25, "q": 0.08, "S": 0.9, "B": 200.0, "b": -0.17, "Q": -1.0, "A": -1.6, "a": 0.045, "E": 2.9},
    "coupled": {"E": 1.1, "A": 60.0, "B": 70.0, "alpha": 0.25, "beta": 0.2, "kappa": 0.6},
    "overfit": {"E": 1.9, "A": 500.0, "B": 1800.0, "alpha": 0.35, "beta": 0.36, "G": 0.04, "rho": 1.2, "nu": 0.4},
    "steps": {"E": 0.9, "A": 30.0, "B": 20.0, "G": 6.0, "alpha": 0.25, "beta": 0.3, "gamma": 0.5},
    "width_depth": {"E": 0.9, "A": 20.0, "B": 2.0, "G": 60.0, "a": 0.6, "b": 1.1, "c": 0.3},
}


def formula(law: str, p: dict[str, float], x: dict[str, np.ndarray]) -> np.ndarray:
    """Write each law once more, as plainly as its source does."""
    match law:
        case "power":
            return p["a"] * x["x"] ** -p["alpha"]
        case "saturating":
            return p["E"] + p["a"] * x["x"] ** -p["alpha"]
        case "shifted":
            return p["E"] + p["a"] * (p["b"] + x["x"]) ** -p["alpha"]
        case "m3":
            return p["a"] * (1 / x["x"] + p["b"]) ** p["alpha"]
        case "bnsl1" | "bnsl2":
            y = p["b"] * x["x"] ** -p["c0"]
            for k in range(1, int(law[-1]) + 1):
                y = y * (1 + (x["x"] / p[f"d{k}"]) ** (1 / p[f"f{k}"])) ** (-p[f"c{k}"] * p[f"f{k}"])
            return p["E"] + y
        case "chinchilla":
            return p["E"] + p["A"] * x["N"] ** -p["alpha"] + p["B"] * x["D"] ** -p["beta"]
        case "kaplan":
            return ((p["Nc"] / x["N"]) ** (p["alpha_N"] / p["alpha_D"]) + p["Dc"] / x["D"]) ** p["alpha_D"]
        case "farseer":
            floor, size, power = (p[a] * x["N"] ** p[b] + p[c] for a, b, c in ("sqS", "BbQ", "AaE"))
            return np.exp(floor) + np.exp(size) * x["D"] ** -np.exp(power)
        case "coupled":
            of_N, of_D = p["A"] * x["N"] ** -p["alpha"], p["B"] * x["D"] ** -p["beta"]
            return p["E"] + (of_N ** (1 / p["kappa"]) + of_D ** (1 / p["kappa"])) ** p["kappa"]
        case "overfit":
            repeats = np.maximum(x["D"] / x["D_unique"] - 1, 0)
            extra = p["G"] * repeats ** p["rho"] * (x["N"] / x["D_unique"]) ** p["nu"]
            return formula("chinchilla", p, x) + extra
        case "steps":
            of_steps = p["B"] * (x["D"] / x["batch"]) ** -p["beta"]
            return p["E"] + p["A"] * x["N"] ** -p["alpha"] + of_steps + p["G"] * x["batch"] ** -p["gamma"]
        case "width_depth":
            return p["E"] + p["A"] * x["width"] ** -p["a"] + p["B"] * x["depth"] ** -p["b"] + p["G"] * x["D"] ** -p["c"]
        case "repeated":
            U = np.minimum(x["D"], x["D_unique"])
            D = U + U * p["R_D"] * (1 - np.exp(-(x["D"] / U - 1) / p["R_D"]))
            G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
            V = np.minimum(x["N"], (U * G) ** (p["beta"] / p["alpha"]) * G)
            N = V + V * p["R_N"] * (1 - np.exp(-(x["N"] / V - 1) / p["R_N"]))
            return p["E"] + p["A"] * N ** -p["alpha"] + p["B"] * D ** -p["beta"]
    raise AssertionError(law)


def inputs_of(law: Law, n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    ranges = {"x": (3, 9), "N": (6, 9), "D": (8, 10.5), "D_unique": (7.5, 10), "width": (1, 3), "depth": (0.3, 2)}
    ranges["batch"] = (1, 3)
    if law.of_one_variable:
        return {"x": np.logspace(3, 9, n)}
    return {name: 10 ** rng.uniform(*ranges[name], n) for name in law.inputs}


def table_of(name: str, n: int = 60) -> pd.DataFrame:
    law = LAWS[name]
    x = inputs_of(law, n)
    if name == "m4":
        y = np.linspace(0.15, 0.93, n)
        p = TRUTHS["m4"]
        x = {"x": (p["a"] * (p["e0"] - y) ** p["gamma"] / (y - p["E"])) ** (1 / p["alpha"])}
    else:
        y = formula(name, TRUTHS[name], x)
    return pd.DataFrame({**x, "loss": y})


def units_of(x: dict[str, np.ndarray]) -> Units:
    centres = {name: float(np.log(values).mean()) for name, values in x.items()}
    if "D_unique" in centres:
        centres["D_unique"] = centres["D"]
    return Units(centres, 0.3)


@pytest.mark.parametrize("name", LAWS)
def test_value_is_the_formula(name: str) -> None:
    table = table_of(name)
    x = {key: table[key].to_numpy() for key in LAWS[name].inputs}
    units = units_of(x)
    law = LAWS[name].bind(units)
    theta = law.scale(TRUTHS[name], units)[:, None]
    logs = {key: np.log(values) - units.log_inputs[key] for key, values in x.items()}
    assert law.evaluate(theta, logs).h[0] + units.log_y == pytest.approx(np.log(table.loss.to_numpy()), abs=1e-9)
    back = dict(zip(law.params, law.unscale(theta[:, 0], units), strict=True))
    assert back == pytest.approx(TRUTHS[name], rel=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_derivatives_match_differences(name: str) -> None:
    table = table_of(name)
    x = {key: table[key].to_numpy() for key in LAWS[name].inputs}
    units = units_of(x)
    law = LAWS[name].bind(units)
    logs = {key: np.log(values) - units.log_inputs[key] for key, values in x.items()}
    rng = np.random.default_rng(0)
    theta = law.scale(TRUTHS[name], units)[:, None] + 0.05 * rng.standard_normal((len(law.params), 3))
    found = law.evaluate(theta, logs)
    v = rng.standard_normal(found.h.shape)
    matrix, gram = found.curvature(v)
    slopes = np.stack([np.broadcast_to(row, found.h.shape) for row in found.gradient()])
    matrix = matrix + gram * np.einsum("bn,ibn,jbn->ijb", v, slopes, slopes)
    for i in range(len(theta)):
        step = 1e-5
        moved = step * np.eye(len(theta))[i][:, None]
        up, down = law.evaluate(theta + moved, logs), law.evaluate(theta - moved, logs)
        assert slopes[i] == pytest.approx((up.h - down.h) / (2 * step), rel=1e-6, abs=2e-7)
        for j in range(len(theta)):
            change = np.broadcast_to((up.gradient()[j] - down.gradient()[j]) / (2 * step), v.shape)
            assert matrix[i, j] == pytest.approx((v * change).sum(axis=1), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", default_cases(LAWS, *(name for name in LAWS if name not in DEAR)))
def test_a_law_is_found_again_from_its_own_data(name: str) -> None:
    table = table_of(name)
    found = fit(table, law=name, x="x" if LAWS[name].of_one_variable else None, objective="lsq", resamples=0)
    assert found.objective.value < 1e-9
    assert found.predict(table) == pytest.approx(table.loss.to_numpy(), rel=1e-4)
    if name not in ("bnsl2", "kaplan"):
        assert found.params == pytest.approx(TRUTHS[name], rel=2e-2)


@pytest.mark.parametrize("name", ["power", "saturating", "shifted", "m3", "m4"])
def test_inverse_undoes_the_law(name: str) -> None:
    table = table_of(name)
    params = {key: np.array(value) for key, value in TRUTHS[name].items()}
    assert LAWS[name].inverse(params, table.loss.to_numpy()) == pytest.approx(table.x.to_numpy(), rel=1e-6)


def test_repeated_data_without_repeats_is_chinchilla() -> None:
    p = TRUTHS["repeated"]
    x = {"N": np.array([1e8]), "D": np.array([1e10]), "D_unique": np.array([1e10])}
    assert formula("repeated", p, x) == pytest.approx(formula("chinchilla", p, x))


MINE = own_law(
    "mine",
    lambda p, x: p.E + p.A * (x.N * x.D) ** -p.alpha,
    params={"E": (0.0, 10.0), "A": (1e-2, 1e4), "alpha": (0.01, 1.0)},
    inputs=("N", "D"),
)
WITH_SLOPES = own_law(
    "mine",
    lambda p, x: p.E + p.A * (x.N * x.D) ** -p.alpha,
    slopes=lambda p, x: (
        1.0,
        (x.N * x.D) ** -p.alpha,
        -p.A * np.log(x.N * x.D) * (x.N * x.D) ** -p.alpha,
    ),
    params={"E": (0.0, 10.0), "A": (1e-2, 1e4), "alpha": (0.01, 1.0)},
    inputs=("N", "D"),
)


@pytest.mark.parametrize("law", [MINE, pytest.param(WITH_SLOPES, marks=pytest.mark.slow)])
def test_a_law_of_ones_own(law: Law) -> None:
    x = inputs_of(LAWS["chinchilla"])
    table = pd.DataFrame({**x, "loss": 1.5 + 70 * (x["N"] * x["D"]) ** -0.12})
    found = fit(table, law=law, resamples=20)
    assert found.params == pytest.approx({"E": 1.5, "A": 70.0, "alpha": 0.12}, rel=1e-3)


def test_a_law_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from analysis.laws import own_law\n"
        "LOG = own_law('log', lambda p, x: p.a - p.b * __import__('numpy').log(x.N), "
        "params={'a': (0.1, 100.0), 'b': (0.001, 10.0)}, inputs=('N',))\n"
        "NOT = 3\n"
    )
    (tmp_path / "my_own_laws.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert get_law("my_own_laws:LOG").name == "log"
    with pytest.raises(UserError, match="int"):
        get_law("my_own_laws:NOT")
    with pytest.raises(UserError, match="no_such"):
        get_law("no_such:LAW")
