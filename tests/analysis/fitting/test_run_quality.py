"""Training faults make a law weak, with a remedy, and ordinary training does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from tests.default_cases import default_cases


def grid(seed: int = 0, seeds: int = 1) -> pd.DataFrame:
    N, D = (
        np.repeat(axis.ravel(), seeds) for axis in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 3e10, 6))
    )
    table = pd.DataFrame({"N": N, "D": D, "D_unique": D, "steps": D / 1e5, "chance": 12.0})
    table["lr"] = 3e-3 * (N / 1e6) ** -0.3
    return noisy(table, 1.7 + 400 * N**-0.34 + 900 * D**-0.28, seed)


def noisy(table: pd.DataFrame, loss: np.ndarray, seed: int = 0) -> pd.DataFrame:
    return table.assign(loss=loss * np.exp(0.004 * np.random.default_rng(seed).standard_normal(len(table))))


def tried(table: pd.DataFrame, best: float) -> pd.DataFrame:
    """Run each setting at five rates, of which `best` times the middle one is the best."""
    many = table.loc[table.index.repeat(5)].reset_index(drop=True)
    times = 2.0 ** (np.arange(len(many)) % 5 - 2)
    return many.assign(lr=many.lr * times, loss=many.loss * (1 + 0.02 * np.log2(times / best) ** 2))


def with_milestones(table: pd.DataFrame, slope: float) -> pd.DataFrame:
    """Add two milestones to each run, from which the loss fell as D^slope."""
    runs = table.assign(run_id=[f"r{i}" for i in range(len(table))], final=True, schedule="constant")
    parts = [runs.assign(D=runs.D * s, loss=runs.loss * s**slope, final=s == 1) for s in (0.25, 0.5, 1.0)]
    return pd.concat(parts, ignore_index=True)


KINDS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "few steps": (lambda t: t.assign(steps=31), "fewer than 100 steps"),
    "few steps of the large": (lambda t: t.assign(steps=np.where(t.N > 1e8, 40, 4e4)), "fewer than 100 steps"),
    "still falling": (lambda t: with_milestones(t, -0.6), "still fell steeply"),
    "near chance": (lambda t: t.assign(chance=np.where(t.N < 1e7, t.loss, 12.0)), "hardly left chance"),
    "epochs": (lambda t: t.drop(columns="D_unique").assign(epochs=8), "repeated and overfit do"),
    "repeats": (lambda t: t.assign(D_unique=np.minimum(t.D, 1e9)), "repeated and overfit do"),
    "rates pooled": (lambda t: tried(t, 1.0), "`scaling tuned` of this table finds each setting's best rate"),
    "rates at the edge": (lambda t: tried(t, 8.0), "try rates beyond it"),
}


@pytest.mark.parametrize("kind", default_cases(KINDS, "rates at the edge", "few steps", "near chance"))
def test_conduct_that_is_known_weakens_a_law_with_its_cure(kind: str) -> None:
    spoil, said = KINDS[kind]
    found = fit(spoil(grid()), resamples=0, starts=8, pool=["lr"])
    assert found.certificate.status == "weak"
    assert any(said in reason for reason in found.certificate.reasons)


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t, pytest.param(lambda t: with_milestones(t, -0.1), marks=pytest.mark.slow)],
    ids=["final", "milestones"],
)
def test_ordinary_conduct_weakens_nothing(spoil: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    for seed in range(3):
        assert fit(spoil(grid(seed)), resamples=0, starts=8).certificate.reasons == ()


def test_subsets_with_rates_of_their_own_are_no_rates_tried_at_one_setting() -> None:
    table = grid()
    subsets = [table.assign(D_unique=table.D / n, lr=table.lr / n, loss=table.loss * (1 + 0.01 * n)) for n in (1, 2, 4)]
    found = fit(pd.concat(subsets, ignore_index=True), resamples=0, starts=8, pool=["lr"])
    assert not any("rate" in reason for reason in found.certificate.reasons)


def too_large(noise: float, least: float) -> pd.DataFrame:
    """Return runs of six budgets, at each of which all models are `least` times the optimum and up to 20 times more."""
    C = np.repeat(np.geomspace(1e16, 1e20, 6), 6)
    best = 0.3 * (C / 6) ** 0.46
    N = best * np.tile(least * np.geomspace(1, 20, 6), 6)
    table = pd.DataFrame({"N": N, "D": C / 6 / N})
    loss = 1.7 + 400 * N**-0.34 + 900 * table.D.to_numpy() ** -0.28
    return table.assign(loss=loss * np.exp(noise * np.random.default_rng(0).standard_normal(len(table))))


@pytest.mark.parametrize(("noise", "least", "status"), [(0.03, 3, "weak"), (0.0004, 3, "ok"), (0.0004, 20, "weak")])
def test_an_optimum_outside_every_budget_is_named_and_weakens_a_law_that_does_not_know_it_or_is_far_from_it(
    noise: float, least: float, status: str
) -> None:
    found = fit(too_large(noise, least), resamples=100, starts=8, level=0.5)  # of no matter to a verdict
    assert found.certificate.status == status
    assert any("smaller models would bracket it" in said for said in found.warnings)


def test_points_far_off_a_law_are_counted_and_the_farthest_is_named() -> None:
    table = grid()
    assert not any("far from" in said for said in fit(table, resamples=0, starts=8).warnings)
    table.loc[[3, 17, 30], "loss"] = [11.5, 11.6, 11.5]
    found = fit(table, resamples=0, starts=8)
    assert found.certificate.status == "ok"
    (said,) = (said for said in found.warnings if "far from" in said)
    assert said.startswith("3 of 36 points lie far from the law, the farthest with loss 11.")
    assert "where the law gives " in said


def test_another_size_that_explains_the_scatter_of_few_runs_by_chance_is_not_named() -> None:
    rng = np.random.default_rng(21)
    for _ in range(8):
        N = np.geomspace(1e6, 1e9, 10)
        D, loss = (first * np.exp(size * rng.standard_normal(10)) for first, size in ((20 * N, 0.1), (N**-0.12, 0.02)))
        found = fit(pd.DataFrame({"N": N, "D": D, "loss": 30 * loss}), "power", x="N", resamples=0, starts=4)
        assert not any("goes with D" in reason for reason in found.certificate.reasons)


@pytest.mark.parametrize(
    ("x", "size", "instead"),
    [
        ("C", "N", "the frontier"),
        ("D", "N", "runs of one N"),
        ("tokens", "N", "runs of one N"),
        ("width", "D", "runs of one D"),
        ("gpu hours", "N", "runs of one N"),
    ],
)
def test_a_law_of_one_size_names_another_that_explains_its_scatter(x: str, size: str, instead: str) -> None:
    table = grid().drop(columns=["lr", "steps"])
    table = table.assign(C=6 * table.N * table.D, tokens=table.D, width=table.N**0.5)
    table["gpu hours"] = table.C / 1e18
    found = fit(table, "power", x=x, resamples=0)
    assert found.certificate.status == "weak"
    assert any(f"scatter about this law of {x} goes with {size}: fit {instead}" in text for text in found.warnings)
    alone = fit(table[table["N"] == table["N"].max()], "power", x="D", resamples=0)
    assert not any("goes with" in text for text in alone.warnings)


@pytest.mark.parametrize(("place", "status"), [(7, "ok"), (19, "weak")])
def test_an_outlier_weakens_a_law_where_it_is_the_largest_run(place: int, status: str) -> None:
    D = np.geomspace(1e6, 1e9, 20)
    loss = (1.7 + 90 * D**-0.28) * np.exp(0.004 * np.random.default_rng(0).standard_normal(20))
    loss[place] *= 1.08
    found = fit(pd.DataFrame({"D": D, "loss": loss}), "saturating", x="D", resamples=50, starts=8)
    assert found.certificate.status == status
    assert any("the largest run lies" in said for said in found.warnings) == (status == "weak")


@pytest.mark.parametrize(("lowest", "status"), [(True, "weak"), (False, "ok")])
def test_outliers_weaken_a_law_where_they_are_the_lowest_by_it_though_larger_runs_lie_on_it(
    lowest: bool, status: str
) -> None:
    rng = np.random.default_rng(3)
    N, D = 10 ** rng.uniform(6, 9, 60), 10 ** rng.uniform(8, 11, 60)
    N, D = np.append(N, 3e9), np.append(D, 3e9)  # large, but far from the optimum
    true = 1.7 + 400 * N**-0.34 + 900 * D**-0.28
    odd = np.argsort(true)[:3] if lowest else np.argsort(true)[[10, 30, 50]]
    assert set(odd) != set(np.argsort(N * D)[-3:])
    loss = true * np.exp(0.001 * rng.standard_normal(61))
    loss[odd] *= 1.05
    found = fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla", resamples=50, starts=8)
    assert found.certificate.status == status
    assert any("3 runs of lowest loss by the law lie 4" in said for said in found.warnings) == lowest


def test_runs_of_different_sizes_at_one_compute_are_neither_seeds_nor_tries_of_a_rate() -> None:
    C, N = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e21, 5), np.geomspace(1e7, 1e9, 5), indexing="ij"))
    table = pd.DataFrame({"N": N, "C": C, "D": C / (6 * N), "lr": 3e-3 * (N / 1e6) ** -0.3})
    table = pd.concat([table.assign(seed=seed) for seed in range(2)], ignore_index=True)
    law = fit(noisy(table, 1.7 + 400 * table.N**-0.34 + 900 * table.D**-0.28), "power", x="C", resamples=0, pool=["lr"])
    assert not any("rate known" in reason or "best rate" in reason for reason in law.certificate.reasons)
    assert law.lack_of_fit is not None
    assert 0.002 < law.lack_of_fit.seed_scatter < 0.008


@pytest.mark.parametrize(("largest", "status"), [(True, "weak"), (False, "ok")])
def test_outliers_weaken_a_law_where_they_have_the_largest_of_one_input(largest: bool, status: str) -> None:
    """A rate rule that breaks for the largest models: their runs are neither the largest nor the lowest."""
    rng = np.random.default_rng(5)
    N, D = 10 ** rng.uniform(6, 9, 50), 10 ** rng.uniform(8, 11, 50)
    true = 1.7 + 400 * N**-0.34 + 900 * D**-0.28
    odd = np.argsort(N)[-5:] if largest else np.argsort(N)[[10, 20, 30, 40, 45]]
    assert set(odd) != set(np.argsort(N * D)[-5:]) != set(np.argsort(true)[:5])
    loss = true * np.exp(0.001 * rng.standard_normal(50))
    loss[odd] *= 1.12
    found = fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla", resamples=50, starts=8)
    assert found.certificate.status == status
    assert any("5 runs of largest N lie" in said for said in found.warnings) == largest
