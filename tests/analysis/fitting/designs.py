"""Simulated tables of runs, from a true law and from responses that no power law fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

KINDS = ("kink", "chance", "upwards", "wiggle")
"""What no power law follows: a slope steeper from the middle on, a start at chance, a bend upwards, a wave."""
SHOWN = ("floors", "slopes", "bad seed", "undertrained", "mistuned", "recipes", "repeats", "milestones")
"""What columns beside N and D show, or only a law that bends in both: see `spoiled`."""


@dataclass(frozen=True)
class Design:
    """One kind of table: settings of D, or of N and D (on a grid or scattered), seeds, noise of a run."""

    name: str
    law: str
    settings: int
    seeds: int
    noise: float
    shape: str = "normal"
    scattered: bool = False


def curve(kind: str, u: np.ndarray, y: np.ndarray, chance: float) -> np.ndarray:
    """Bend a true law's values y; u: the size of a run, 0 and 1 at the ends of the data."""
    if kind == "chance":
        return (y**-8 + chance**-8) ** (-1 / 8)
    shift = {
        "true": np.zeros_like(u),
        "kink": -np.maximum(0, u - 0.5),
        "upwards": np.maximum(0, u - 0.5) ** 2,
        "wiggle": 0.04 * np.sin(4 * np.pi * u),
    }[kind]
    return y * np.exp(shift)


def truth(design: Design, kind: str, at: pd.DataFrame) -> np.ndarray:
    """Return the response without noise."""
    D = at["D"].to_numpy()
    if design.law == "saturating":
        return curve(kind, (np.log10(D) - 5) / 4, 1.2 + 60 * D**-0.25, 2.3)
    N = at["N"].to_numpy()
    size = ((np.log10(N) - 6) / 3.5 + (np.log10(D) - 8) / 3) / 2
    return curve(kind, size, 1.7 + 400 * N**-0.34 + 900 * D**-0.28, 7.0)


def settings(design: Design, rng: np.random.Generator) -> pd.DataFrame:
    """Choose the settings of a table."""
    n = design.settings
    if design.law == "saturating":
        return pd.DataFrame({"D": np.geomspace(1e5, 1e9, n)})
    if design.scattered:
        return pd.DataFrame({"N": 10 ** rng.uniform(6, 9.5, n), "D": 10 ** rng.uniform(8, 11, n)})
    N, D = np.meshgrid(np.geomspace(1e6, 10**9.5, 7), np.geomspace(1e8, 1e11, n // 7))
    return pd.DataFrame({"N": N.ravel(), "D": D.ravel()})


def simulate(design: Design, kind: str, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one table."""
    table = settings(design, rng)
    table = table.loc[table.index.repeat(design.seeds)].reset_index(drop=True)
    table["seed"] = np.arange(len(table)) % design.seeds
    shape = rng.standard_t(3, len(table)) / np.sqrt(3) if design.shape == "heavy" else rng.standard_normal(len(table))
    size = np.full(len(table), design.noise)
    if design.shape == "falling":
        size = design.noise * (table["N"].to_numpy() / 1e8) ** -0.25
    return table.assign(loss=truth(design, kind, table) * np.exp(size * shape))


def spoiled(kind: str, rng: np.random.Generator, noise: float = 0.004) -> pd.DataFrame:
    """Draw a grid of 42 in N and D in which something is wrong, with the columns that show it.

    floors: E falls with N; slopes: beta grows by 3 % a decade of N; bad seed: one run 10 % off; undertrained: few steps
    of large models; mistuned: three fixed rates, of which the best falls with N; recipes: another optimiser of large
    ones; repeats: 1e9 examples, beyond which they overfit; milestones: a run's noise in all its rows, a true law.
    """
    table = settings(Design(kind, "chinchilla", 42, 1, noise), rng).assign(one=1)
    large = table["N"] > 1e8
    if kind == "mistuned":
        table = table.merge(pd.DataFrame({"one": 1, "lr": [1e-3, 3e-3, 1e-2]}))
    if kind == "milestones":
        table = table.assign(run=np.arange(42)).merge(pd.DataFrame({"one": 1, "part": [0.25, 0.5, 1.0]}))
        table = table.assign(D=table["D"] * table["part"], run_id=table["run"].map("r{}".format))
    N, D = table["N"].to_numpy(), table["D"].to_numpy()
    decades = np.log10(N / 1e6)
    beta, E = 0.28 * (1 + 0.03 * decades * (kind == "slopes")), 1.7 * (1 - 0.04 * decades * (kind == "floors"))
    loss = E + 400 * N**-0.34 + 900 * D**-beta
    spread = noise * rng.standard_normal(len(table))
    if kind == "bad seed":
        spread[rng.integers(len(table))] += 0.1
    elif kind == "undertrained":
        table = table.assign(steps=np.where(large, 60, 5000))
        loss = loss * (1 + 0.06 * np.maximum(0, decades - 2))
    elif kind == "mistuned":
        loss = loss * (1 + 0.03 * np.log(table["lr"].to_numpy() / (1e-2 * (N / 1e6) ** -0.5)) ** 2)
    elif kind == "recipes":
        table = table.assign(optimizer=np.where(large, "adam", "sgd"))
        loss = loss * np.where(large, 0.93, 1.0)
    elif kind == "repeats":
        table = table.assign(D_unique=np.minimum(D, 1e9))
        loss = loss + 0.02 * np.maximum(D / 1e9 - 1, 0) ** 0.8
    elif kind == "milestones":
        spread = (noise * rng.standard_normal(42))[table["run"]]
    return table.drop(columns=["one", "run", "part"], errors="ignore").assign(loss=loss * np.exp(spread))
