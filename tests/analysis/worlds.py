"""Simulated sweeps with a known law: tables and results folders as the other half of the house writes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

PLAN = (
    *("run_id", "overrides", "family", "width", "depth", "expansion", "data", "D_unique", "optim", "lr", "lr_rule"),
    *("schedule", "batch", "augment", "label_smoothing", "precision", "engine", "seed", "N", "N_total", "N_body"),
    *("N_nonhead", "D", "epochs", "steps", "C", "C_counted", "budget"),
)
ROOT = Path(__file__).parents[2]
WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
BUDGETS = (2e8, 4e8, 1e9, 2e9, 5e9, 1e10)


@dataclass(frozen=True)
class World:
    """A surface E + A N^-alpha + B D^-beta, log-normal noise (a share common to each seed), and a recipe."""

    E: float = 0.35
    A: float = 6.0
    B: float = 14.0
    alpha: float = 0.30
    beta: float = 0.28
    noise: float = 0.004
    seed: int = 0
    recipe: dict[str, object] = field(
        default_factory=lambda: {
            "optim": "adamw",
            "lr": 1e-3,
            "lr_rule": "0.001",
            "schedule": "cosine[warmup=0.05]",
            "batch": 128,
            "augment": "none",
            "label_smoothing": 0.0,
            "precision": "fp32",
            "engine": "eager",
        }
    )

    def loss(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Return the loss without noise."""
        return self.E + self.A * N**-self.alpha + self.B * D**-self.beta

    def best_N(self, C: np.ndarray, c: float = 6.0) -> np.ndarray:
        """Return the N that minimises the loss where C = c N D."""
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        return g * (np.asarray(C) / c) ** (self.beta / (self.alpha + self.beta))

    @property
    def exponent(self) -> float:
        """Return the exponent of N*(C)."""
        return self.beta / (self.alpha + self.beta)


def params(width: np.ndarray, depth: int = 2, inputs: int = 16, classes: int = 10) -> np.ndarray:
    """Return the weights of a small network."""
    return inputs * width + (depth - 1) * width**2 + classes * width


SKEWED = World(alpha=0.5, beta=0.2, A=40.0, B=5.0)
"""Exponents far apart: parabolas in log N are biased."""
OFF_CENTRE = World(A=1.6)
"""Optima at the small end of the grid, some outside it."""


def isoflop(world: World, widths: tuple[int, ...] = WIDTHS, budgets: tuple[float, ...] = BUDGETS, seeds: int = 3):
    """Simulate one run a budget, width and seed, each of constant C."""
    cells = [(b, w, s) for b in budgets for w in widths for s in range(seeds)]
    budget, width, seed = (np.array(values, dtype=float) for values in zip(*cells, strict=True))
    N = params(width)
    steps = np.floor(budget / (6 * N * 128))
    return _finish(world, width, N, steps * 128, seed, budget)


def small(world: World | None = None) -> pd.DataFrame:
    """Simulate an isoFLOP sweep of 48 runs, quiet enough for every budget to have its minimum."""
    widths, budgets = (8, 16, 32, 64, 128, 192), (4e8, 1e9, 4e9, 1e10)
    return isoflop(world or World(noise=0.002), widths=widths, budgets=budgets, seeds=2)


def grid(world: World, widths: tuple[int, ...], sizes: tuple[int, ...], seeds: int = 3):
    """Simulate every width on every number of examples: a D sweep per width, an N sweep per D."""
    cells = [(w, d, s) for w in widths for d in sizes for s in range(seeds)]
    width, D, seed = (np.array(values, dtype=float) for values in zip(*cells, strict=True))
    return _finish(world, width, params(width), D, seed, np.full(len(D), np.nan))


def curves(world: World, widths: tuple[int, ...] = WIDTHS, milestones: int = 8, seeds: int = 2):
    """Simulate constant-rate runs, each with geometric milestones."""
    world = World(**{**vars(world), "recipe": {**world.recipe, "schedule": "constant"}})
    ends = grid(world, widths, (262144,), seeds)
    rows = [ends.assign(**_milestone(ends, 0.5**k), final=k == 0) for k in range(milestones)]
    table = pd.concat(rows).sort_values(["run_id", "step"], ignore_index=True)
    return _measured(world, table)


def _milestone(ends: pd.DataFrame, share: float) -> dict[str, pd.Series]:
    return {name: ends[name] * share for name in ("D", "C", "C_counted", "epochs", "step")}


def _finish(world: World, width, N, D, seed, budget) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "family": "mlp",
            "width": width.astype(int),
            "depth": 2,
            "expansion": 4,
            "data": "teacher",
            "D_unique": D.astype(int),
            **world.recipe,
            "seed": seed.astype(int),
            "N": N,
            "N_total": N + 3 * width,
            "N_body": N - 26 * width + 1,
            "N_nonhead": N - 10 * width,
            "D": D,
            "epochs": 1.0,
            "step": D / 128,
            "C": 6 * N * D,
            "C_counted": 5.5 * N * D,
            "budget": budget,
            "final": True,
            "status": "finished",
            "flags": "",
            "reason": "",
            "task": "test",
            "seconds": 6 * N * D / 1e9,
            "forecast_seconds": np.nan,
            "metric": "cross_entropy",
            "chance": np.log(10),
            "n_test": 10000,
            "device": "cpu",
        }
    )
    table = table.assign(run_D=table["D"], run_C=table["C"], run_steps=table["step"])
    words = table[["width", "D", "seed", "schedule", "lr_rule"]].astype(str).agg("/".join, axis=1)
    table.insert(0, "run_id", [hashlib.sha256(word.encode()).hexdigest()[:12] for word in words])
    overrides = [f"model.width={w} train.examples={int(d)} seed={s}" for w, d, s in zip(width, D, seed, strict=True)]
    table.insert(1, "overrides", overrides)
    return _measured(world, table)


def _measured(world: World, table: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(world.seed)
    mean = world.loss(table["N"].to_numpy(float), table["D"].to_numpy(float))
    noise = np.exp(world.noise * rng.standard_normal(len(table)))
    loss = mean * noise
    error = 0.3 * loss / (1 + 0.3 * loss)
    return table.assign(
        loss=loss, loss_se=0.004, error=error, error_se=0.003, val_loss=loss * 1.01, val_error=error, train_loss=loss
    )


def write_results(table: pd.DataFrame, root: Path, name: str = "sweep") -> Path:
    """Write a table as a results folder: plan.csv and a record a run; runs failed or missing get none."""
    folder = root / "results" / name
    folder.mkdir(parents=True)
    runs = root / "results" / "runs"
    runs.mkdir(exist_ok=True)
    whole = {"D": "run_D", "C": "run_C", "steps": "run_steps"}
    ends = table.drop_duplicates("run_id", keep="last")
    plan = ends.assign(**{new: ends[old] for new, old in whole.items()})
    plan[[name for name in PLAN if name in plan.columns]].to_csv(folder / "plan.csv", index=False)
    for run_id, rows in table.groupby("run_id", sort=False):
        run = runs / str(run_id)
        run.mkdir(exist_ok=True)
        row = rows.iloc[-1]
        if row["status"] == "failed":
            attempt = {"start": 0, "end": 9, "cause": "out_of_memory", "error": "wanted 3 GB; take a smaller batch"}
            (run / "attempts.jsonl").write_text(json.dumps(attempt) + "\n")
        elif row["status"] != "missing":
            (run / "record.json").write_text(json.dumps(record(rows)))
    return folder


def record(rows: pd.DataFrame) -> dict[str, object]:
    """Build the record of one run from its rows."""
    last = rows.iloc[-1]
    known = ("D", "C", "C_counted", "epochs", "loss", "loss_se", "error", "error_se", "val_loss", "val_error")
    numbers = (*known, *(["train_loss"] if "train_loss" in rows else []))
    points = [
        {"step": int(row["step"]), **{k: _plain(row[k]) for k in numbers}, "final": bool(row["final"])}
        for _, row in rows.iterrows()
    ]
    counts = {k: _plain(last[k]) for k in ("N", "N_total", "N_body", "N_nonhead", "D_unique", "C_counted", "epochs")}
    return {
        "schema": 1,
        "run_id": last["run_id"],
        "status": last["status"],
        "flags": [word for word in str(last["flags"]).split("|") if word],
        "config": {"model": {"width": int(last["width"])}},
        "counts": {**counts, "D": last["run_D"], "C": last["run_C"], "steps": int(last["run_steps"])},
        "data": {"metric": "cross_entropy", "has_error": True, "chance": 2.303, "n_test": 10000, "n_val": 5000},
        "points": points,
        "how": {"seconds": last["seconds"], "device": "cpu", "host": "a", "attempts": 1, "forecast_seconds": None},
    }


def _plain(value: object) -> float | None:
    number = float(value)  # type: ignore[arg-type]
    return number if np.isfinite(number) else None


def pair(multiplier: float, rng: np.random.Generator, world: World | None = None) -> dict[str, pd.DataFrame]:
    """Simulate two isoFLOP sweeps; the second acts as if N and D were each the root of `multiplier` times larger."""
    world = world or World()
    budgets, sizes = np.geomspace(2e8, 1e10, 6), np.geomspace(150, 15_000, 8)
    C, N, _ = (axis.ravel() for axis in np.meshgrid(budgets, sizes, range(2), indexing="ij"))
    D, found = C / (6 * N), {}
    for name, times in (("a", 1.0), ("b", multiplier)):
        noise = np.exp(world.noise * rng.standard_normal(len(N)))
        loss = world.loss(N * times**0.5, D * times**0.5) * noise
        found[name] = pd.DataFrame({"N": N, "D": D, "C": C, "loss": loss})
    return found
