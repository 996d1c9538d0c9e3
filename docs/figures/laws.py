"""Draw the figures of docs/laws.md: each law fitted to simulated runs, with its band and ten times beyond them.

Run: python docs/figures/laws.py [NAME …]   (writes docs/figures/law_NAME.png)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd

from analysis import fit
from analysis.laws import LAWS
from analysis.laws.base import Law, Units
from analysis.numbers import power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
NOISE = 0.01
LOSS = {"ylabel": "loss (nats)", "xlabel": "training examples D"}

ONE = {  # law: truth, range of D
    "power": ({"a": 3.0, "alpha": 0.2}, (1e3, 1e7)),
    "saturating": ({"E": 0.3, "a": 8.0, "alpha": 0.3}, (1e3, 1e7)),
    "shifted": ({"E": 0.2, "a": 60.0, "b": 3e4, "alpha": 0.35}, (1e3, 1e7)),
    "m3": ({"a": 8.0, "b": 2e-6, "alpha": 0.25}, (1e3, 1e7)),
    "m4": ({"E": 0.1, "e0": 0.9, "a": 40.0, "alpha": 0.45, "gamma": 0.6}, (1e2, 1e7)),
    "bnsl1": ({"E": 0.05, "b": 2.5, "c0": 0.02, "c1": 0.35, "d1": 3e4, "f1": 0.3}, (1e3, 1e7)),
    "bnsl2": (
        {"E": 0.05, "b": 2.5, "c0": 0.02, "c1": 0.4, "d1": 1e4, "f1": 0.2, "c2": -0.3, "d2": 5e5, "f2": 0.2},
        (1e3, 1e7),
    ),
}
JOINT = {  # law: truth, the lines' input and its values, the input along the axis and its range, what is held
    "chinchilla": (
        {"E": 0.5, "A": 40.0, "B": 60.0, "alpha": 0.35, "beta": 0.3},
        ("N", [1e4, 1e5, 1e6]),
        ("D", (1e4, 1e8)),
        {},
    ),
    "kaplan": (
        {"Nc": 3e4, "Dc": 3e5, "alpha_N": 0.2, "alpha_D": 0.25},
        ("N", [1e3, 1e4, 1e5, 1e6]),
        ("D", (1e4, 1e8)),
        {},
    ),
    "coupled": (
        {"E": 0.5, "A": 40.0, "B": 60.0, "alpha": 0.35, "beta": 0.3, "kappa": 0.4},
        ("N", [1e4, 1e5, 1e6]),
        ("D", (1e4, 1e8)),
        {},
    ),
    "overfit": (
        {"E": 0.5, "A": 40.0, "B": 60.0, "alpha": 0.35, "beta": 0.3, "G": 0.015, "rho": 0.9, "nu": 0.3},
        ("D_unique", [1e4, 1e5, 1e6]),
        ("D", (1e4, 3e6)),
        {"N": [1e5, 1e6, 1e7]},
    ),
    "steps": (
        {"E": 0.5, "A": 40.0, "B": 6.0, "G": 4.0, "alpha": 0.35, "beta": 0.4, "gamma": 0.4},
        ("batch", [16, 128, 1024]),
        ("D", (1e4, 1e8)),
        {"N": [1e5, 1e6, 1e7]},
    ),
    "farseer": (
        {"s": -1.6, "q": 0.05, "S": 2.5, "B": 29.0, "b": -0.15, "Q": 0.54, "A": -1.28, "a": 0.05, "E": 1.3},
        ("N", [1e4, 1e5, 1e6, 1e7]),
        ("D", (1e5, 1e9)),
        {},
    ),
    "repeated": (
        {"E": 0.5, "A": 40.0, "B": 60.0, "alpha": 0.35, "beta": 0.3, "R_D": 12.0, "R_N": 6.0},
        ("D_unique", [1e4, 1e5, 1e6]),
        ("D", (1e4, 1e8)),
        {"N": [1e5, 1e6, 1e7]},
    ),
    "width_depth": (
        {"E": 0.4, "A": 4.0, "B": 0.5, "G": 30.0, "a": 0.7, "b": 1.2, "c": 0.3},
        ("width", [8, 32, 128]),
        ("D", (1e4, 1e8)),
        {"depth": [1, 2, 4, 8]},
    ),
}


def truth(law: Law, params: dict[str, float], table: pd.DataFrame) -> np.ndarray:
    """Return the law's value at each row."""
    names = {name: ("D" if name == "x" else name) for name in law.inputs}
    units = Units(dict.fromkeys(law.inputs, 0.0), 0.0)
    law = law.bind(units)
    logs = {name: np.log(table[column].to_numpy(dtype=float)) for name, column in names.items()}
    return np.exp(law.evaluate(law.scale(params, units)[:, None], logs).h[0])


def one(axes: Axes, name: str) -> None:
    """Draw a one-variable law: runs, fit, band, and the forecast ten times beyond."""
    params, (low, high) = ONE[name]
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"D": np.repeat(np.geomspace(low, high, 16), 2)})
    table["loss"] = truth(LAWS[name], params, table) * np.exp(NOISE * rng.standard_normal(len(table)))
    found = fit(table, name, x="D", resamples=300, objective="lsq")
    at = {"D": np.geomspace(low / 2, high * 10, 200)}
    bottom, top = found.interval(at)
    axes.fill_between(at["D"], bottom, top, color="#0072B2", alpha=0.2, lw=0)
    axes.plot(at["D"], found.predict(at), color="#0072B2")
    axes.plot(table.D, table.loss, "o", ms=3, color="black", mfc="none")
    axes.axvspan(high, high * 10, color="0.93", zorder=0)


def joint(axes: Axes, name: str) -> None:
    """Draw a law of several inputs: one line a value of the first, coloured by it."""
    params, (by, values), (along, (low, high)), held = JOINT[name]
    rng = np.random.default_rng(1)
    grids = np.meshgrid(values, np.geomspace(low, high, 9), *held.values(), indexing="ij")
    table = pd.DataFrame({key: grid.ravel() for key, grid in zip([by, along, *held], grids, strict=True)})
    table["loss"] = truth(LAWS[name], params, table) * np.exp(NOISE / 2 * rng.standard_normal(len(table)))
    found = fit(table, name, resamples=100, objective="lsq")
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(values)))
    for colour, value in zip(colours, values, strict=True):
        line = {key: np.full(100, float(middle[len(middle) // 2])) for key, middle in held.items()}
        at = pd.DataFrame({by: np.full(100, float(value)), along: np.geomspace(low, high * 3, 100), **line})
        axes.plot(
            at[along], found.predict(at), color=colour, label=f"{by} = {power_of_ten(value) if value >= 1e3 else value}"
        )
        rows = table[table[by] == value]
        for key, middle in held.items():
            rows = rows[rows[key] == middle[len(middle) // 2]]
        axes.plot(rows[along], rows.loss, "o", ms=3, color=colour, mfc="none")
    axes.legend(fontsize=7, frameon=False)


def main() -> None:
    """Write one small PNG a law."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    for name, law in LAWS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        figure, axes = plt.subplots(figsize=(3.6, 2.5), layout="constrained")
        (one if name in ONE else joint)(axes, name)
        axes.set(xscale="log", yscale="log", title=law.name, **LOSS)
        axes.yaxis.set_major_formatter("{x:.2g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        axes.yaxis.set_minor_formatter("{x:.2g}")
        axes.tick_params(which="both", labelsize=7)
        figure.savefig(HERE / f"law_{name}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main()
