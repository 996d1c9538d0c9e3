"""Tables whose law, design, noise and fault are all drawn anew from a number, for the benchmark of verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

Array = np.ndarray
NOISES = (0.001, 0.003, 0.01, 0.02, 0.04)


@dataclass(frozen=True)
class World:
    """A law and a design: y = E + A N^-alpha + B D^-beta, of D alone where A = 0, with every setting run `seeds` times.

    Inputs are in units of their smallest value. noise: standard deviation of log y. size: 0 and 1 at the ends of the
    data.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    at: pd.DataFrame
    seeds: int
    noise: float

    @property
    def law(self) -> str:
        """The law that the tables are fitted by."""
        return "chinchilla" if self.A else "saturating" if self.E else "power"

    def true(self, at: pd.DataFrame) -> Array:
        """Return the law's value."""
        N = at["N"].to_numpy() if self.A else np.ones(len(at))
        return self.E + self.A * N**-self.alpha + self.B * at["D"].to_numpy() ** -self.beta

    def size(self, at: pd.DataFrame, names: Sequence[str] = ()) -> Array:
        """Return the place of settings between the smallest (0) and the largest (1) run, in these inputs or all."""
        unit = [np.log(at[name].to_numpy()) / np.log(self.at[name].max()) for name in names or self.at.columns]
        return np.mean(unit, axis=0)


Truth = Callable[[pd.DataFrame], Array]


@dataclass(frozen=True)
class Drawn:
    """A table, the law to fit, and the response without noise (None: whatever is ok is wrong)."""

    table: pd.DataFrame
    law: str
    truth: Truth | None


def world(rng: np.random.Generator) -> World:
    """Draw a law and a design: one variable in half of the worlds, else N and D."""
    joint, noise = rng.random() < 0.5, float(rng.choice(NOISES))
    at = _joint_settings(rng) if joint else _settings(rng)
    alpha, beta = np.exp(rng.uniform(np.log(0.1), np.log(0.8 if not joint else 0.6), 2))
    floor = 0.0 if rng.random() < 0.25 else rng.uniform(0.1, 0.85)
    share = rng.uniform(0.25, 0.75) if joint else 0.0
    end = share * at.get("N", pd.Series([1.0])).max() ** -alpha + (1 - share) * at["D"].max() ** -beta
    E = floor / (1 - floor) * end
    return World(E, share, 1 - share, alpha, beta, at, int(rng.choice([1, 1, 3])), noise)


def _settings(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"D": np.geomspace(1, 10 ** rng.uniform(1.5, 5), rng.integers(9, 41))})


def _joint_settings(rng: np.random.Generator) -> pd.DataFrame:
    """Draw a grid, isoFLOP budgets or scattered runs."""
    wide, long = 10 ** rng.uniform(1.5, 4, 2)
    kind, a, b = rng.integers(3), rng.integers(4, 11), rng.integers(4, 11)
    if kind == 0:
        N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1, wide, a), np.geomspace(1, long, b)))
    elif kind == 1:
        budget = np.repeat(np.geomspace(1, wide * long, b), a)
        N = budget**0.5 * np.tile(np.geomspace(0.2, 5, a), b) * np.exp(rng.normal(0, 0.02, a * b))
        D = budget / N
    else:
        N, D = wide ** rng.random(a * b), long ** rng.random(a * b)
    return pd.DataFrame({"N": N / N.min(), "D": D / D.min()})


def runs(one: World, rng: np.random.Generator, truth: Truth, *, size: Array | float = 1.0) -> pd.DataFrame:
    """Draw the runs of a world. size: of each setting's noise, as a multiple of the world's."""
    at = one.at.assign(wide=size).loc[one.at.index.repeat(one.seeds)].reset_index(drop=True)
    spread = one.noise * at.pop("wide").to_numpy() * rng.standard_normal(len(at))
    return at.assign(seed=np.arange(len(at)) % one.seeds, loss=truth(at) * np.exp(spread))


def draw(kind: str, sim: int) -> Drawn:
    """Draw the table number `sim` of a kind."""
    rng = np.random.default_rng([sim, 26, list(KINDS).index(kind)])
    return KINDS[kind](world(rng), rng)


def _joint(one: World, rng: np.random.Generator) -> World:
    while not one.A:
        one = world(rng)
    return one


def _true(one: World, rng: np.random.Generator) -> Drawn:
    return Drawn(runs(one, rng, one.true), one.law, one.true)


def _factor(one: World, rng: np.random.Generator, log_factor: Callable[[Array], Array]) -> Drawn:
    """Multiply the law by a factor that depends on a run's size, or in half of the tables on one of its inputs."""
    names = [str(rng.choice(one.at.columns))] if rng.random() < 0.5 else []

    def truth(at: pd.DataFrame) -> Array:
        return one.true(at) * np.exp(log_factor(one.size(at, names)))

    return Drawn(runs(one, rng, truth), one.law, truth)


def _fall(one: World) -> float:
    """Return the fall of log y over the data."""
    ends = pd.DataFrame({name: [1.0, one.at[name].max()] for name in one.at.columns})
    return float(-np.diff(np.log(one.true(ends)))[0])


def _kink(one: World, rng: np.random.Generator) -> Drawn:
    place, more = rng.uniform(1 / 3, 2 / 3), rng.uniform(0.5, 2) * max(_fall(one), 0.3)
    return _factor(one, rng, lambda u: -more * np.maximum(0, u - place))


def _upwards(one: World, rng: np.random.Generator) -> Drawn:
    place, more = rng.uniform(1 / 3, 2 / 3), rng.uniform(0.5, 1.5)
    return _factor(one, rng, lambda u: more * np.maximum(0, u - place) ** 2)


def _wiggle(one: World, rng: np.random.Generator) -> Drawn:
    high, periods, phase = rng.uniform(0.03, 0.06), rng.uniform(1.5, 3), rng.uniform(0, 2 * np.pi)
    return _factor(one, rng, lambda u: high * np.sin(2 * np.pi * periods * u + phase))


def _chance(one: World, rng: np.random.Generator) -> Drawn:
    """Start at chance: its loss is that of the law at the place from which losses fall."""
    place = rng.uniform(0.15, 0.4)
    at = pd.DataFrame({name: [one.at[name].max() ** place] for name in one.at.columns})
    chance = float(one.true(at)[0])

    def truth(at: pd.DataFrame) -> Array:
        return (one.true(at) ** -8 + chance**-8) ** (-1 / 8)

    return Drawn(runs(one, rng, truth), one.law, truth)


def _plateau(one: World, rng: np.random.Generator) -> Drawn:
    """Level off over the largest 12 to 30 % of the sizes."""
    place = 1 - rng.uniform(0.12, 0.3)
    at = pd.DataFrame({name: [one.at[name].max() ** place] for name in one.at.columns})
    least = float(one.true(at)[0])

    def truth(at: pd.DataFrame) -> Array:
        return np.maximum(one.true(at), least)

    return Drawn(runs(one, rng, truth), one.law, truth)


def _floors(one: World, rng: np.random.Generator) -> Drawn:
    """Let the floor fall by 2 to 5 % a decade of N."""
    one, fall = _joint(one, rng), rng.uniform(0.02, 0.05)

    def truth(at: pd.DataFrame) -> Array:
        return one.true(at) - one.E * fall * np.log10(at["N"].to_numpy())

    return Drawn(runs(one, rng, truth), one.law, truth)


def _exponents(one: World, rng: np.random.Generator) -> Drawn:
    """Let beta change by 4 to 15 % a decade of N."""
    one, more = _joint(one, rng), rng.uniform(0.04, 0.15) * rng.choice([-1, 1])

    def truth(at: pd.DataFrame) -> Array:
        beta = one.beta * (1 + more * np.log10(at["N"].to_numpy()))
        return one.true(at) + one.B * (at["D"].to_numpy() ** -beta - at["D"].to_numpy() ** -one.beta)

    return Drawn(runs(one, rng, truth), one.law, truth)


def _coupled(one: World, rng: np.random.Generator) -> Drawn:
    """Couple N and D: the terms' sum becomes a norm of them."""
    one, kappa = _joint(one, rng), rng.uniform(0.3, 0.8)

    def truth(at: pd.DataFrame) -> Array:
        terms = one.A * at["N"].to_numpy() ** -one.alpha, one.B * at["D"].to_numpy() ** -one.beta
        return one.E + sum(term ** (1 / kappa) for term in terms) ** kappa

    return Drawn(runs(one, rng, truth), one.law, truth)


def _two_sets(one: World, rng: np.random.Generator) -> Drawn:
    """Mix two data sets, 8 to 25 % apart, row by row; no column tells them apart."""
    made = _true(one, rng)
    apart = np.where(rng.random(len(made.table)) < 0.5, rng.uniform(0.08, 0.25), 0.0)
    return replace(made, table=made.table.assign(loss=made.table["loss"] * np.exp(apart)), truth=None)


def _unequal(one: World, rng: np.random.Generator) -> Drawn:
    """Let the noise grow or fall 5 to 20 fold with size."""
    u, times = one.size(one.at), rng.uniform(5, 20)
    wide = times ** (rng.choice([-1, 1]) * (u - 0.5))
    return Drawn(runs(one, rng, one.true, size=wide), one.law, one.true)


def _bad_seed(one: World, rng: np.random.Generator) -> Drawn:
    made = _true(replace(one, seeds=3), rng)
    return replace(made, table=_off(made.table, [rng.integers(len(made.table))], rng))


def _bad_run(one: World, rng: np.random.Generator) -> Drawn:
    made = _true(replace(one, seeds=1), rng)
    return replace(made, table=_off(made.table, [rng.integers(len(made.table))], rng))


def _off(table: pd.DataFrame, rows: list[int], rng: np.random.Generator) -> pd.DataFrame:
    loss = table["loss"].to_numpy().copy()
    loss[rows] *= np.exp(rng.uniform(0.08, 0.4))
    return table.assign(loss=loss)


def _lucky(one: World, rng: np.random.Generator) -> Drawn:
    """Keep the best of eight runs of each of the largest fifth of the settings, of which one is in the table."""
    made = _true(replace(one, seeds=1), rng)
    large = one.size(one.at) > np.quantile(one.size(one.at), 0.8)
    best = one.true(one.at) * np.exp(one.noise * rng.standard_normal((8, len(large))).min(axis=0))
    return replace(made, table=made.table.assign(loss=np.where(large, best, made.table["loss"])))


def _lucky_seeds(one: World, rng: np.random.Generator) -> Drawn:
    """Three seeds of small runs, one of the largest fifth: the best of eight."""
    made = _lucky(one, rng)
    more = _true(replace(one, seeds=3), rng).table
    large = np.asarray(one.size(more[one.at.columns]) > np.quantile(one.size(one.at), 0.8))
    few = made.table[one.size(made.table[one.at.columns]) > np.quantile(one.size(one.at), 0.8)]
    return replace(made, table=pd.concat([more[~large], few], ignore_index=True))


def _undertrained(one: World, rng: np.random.Generator) -> Drawn:
    """Cost models above the middle size 3 to 8 % a decade: they took 20 to 90 steps, the others thousands."""
    made = _true(one := _joint(one, rng), rng)
    over = np.log10(made.table["N"]) - np.log10(one.at["N"].max()) * rng.uniform(0.4, 0.6)
    steps = np.where(over > 0, rng.integers(20, 90, len(over)), rng.integers(1000, 20000, len(over)))
    loss = made.table["loss"] * np.exp(rng.uniform(0.03, 0.08) * np.maximum(0, over))
    return replace(made, table=made.table.assign(steps=steps, loss=loss))


def _still_falling(one: World, rng: np.random.Generator) -> Drawn:
    """Give every run its learning curve; large models end high, in steep descent."""
    made = _true(one := replace(_joint(one, rng), seeds=1), rng)
    over = np.log10(made.table["N"]) - np.log10(one.at["N"].max()) * rng.uniform(0.4, 0.6)
    over, cost, fast = np.maximum(0, over).to_numpy(), rng.uniform(0.1, 0.3), rng.uniform(1, 2)
    parts = [
        made.table.assign(
            run_id=[f"r{k}" for k in range(len(over))],
            D=made.table["D"] * part,
            loss=made.table["loss"] * (part**-0.1 + cost * over * part**-fast),
        )
        for part in (0.25, 0.5, 0.75, 1.0)
    ]
    return replace(made, table=pd.concat(parts, ignore_index=True))


def _mistuned(one: World, rng: np.random.Generator) -> Drawn:
    """Run three or four fixed rates everywhere; the best falls with N and leaves their range."""
    made = _true(one := replace(_joint(one, rng), seeds=1), rng)
    rates = np.geomspace(3e-4, 1e-2, rng.integers(3, 5))
    table = made.table.merge(pd.DataFrame({"lr": rates}), how="cross")
    best = rates[-1] * table["N"] ** (-rng.uniform(0.4, 1) * 3 / np.log10(one.at["N"].max()))
    cost = rng.uniform(0.02, 0.06) * np.log(table["lr"] / best) ** 2
    return replace(made, table=table.assign(loss=table["loss"] * np.exp(cost)))


def _recipes(one: World, rng: np.random.Generator) -> Drawn:
    """Train large models (or every other run) by another optimiser, 4 to 12 % better."""
    made = _true(one, rng)
    u = one.size(made.table[one.at.columns])
    other = u > rng.uniform(0.4, 0.7) if rng.random() < 0.5 else rng.random(len(u)) < 0.5
    loss = made.table["loss"] * np.where(other, 1 - rng.uniform(0.04, 0.12), 1.0)
    return Drawn(made.table.assign(optimizer=np.where(other, "adam", "sgd"), loss=loss), one.law, None)


def _rows_twice(one: World, rng: np.random.Generator) -> Drawn:
    made = _true(one, rng)
    twice = made.table.sample(frac=1 / 3, random_state=int(rng.integers(1 << 30)))
    return replace(made, table=pd.concat([made.table, twice], ignore_index=True))


def _rows_nearly_twice(one: World, rng: np.random.Generator) -> Drawn:
    """Write a third of the rows twice, the second time with five digits."""
    made = _true(one, rng)
    twice = made.table.sample(frac=1 / 3, random_state=int(rng.integers(1 << 30)))
    rounded = twice.assign(**{name: [float(f"{x:.5g}") for x in twice[name]] for name in ("D", "loss")})
    return replace(made, table=pd.concat([made.table, rounded], ignore_index=True))


def _repeats(one: World, rng: np.random.Generator) -> Drawn:
    """Few unique examples, beyond which repeats hurt; the column D_unique has them."""
    made = _true(one := _joint(one, rng), rng)
    unique = one.at["D"].max() ** rng.uniform(0.2, 0.4)
    hurt = rng.uniform(0.01, 0.04) * np.maximum(made.table["D"] / unique - 1, 0) ** 0.4
    table = made.table.assign(D_unique=np.minimum(made.table["D"], unique), loss=made.table["loss"] * (1 + hurt))
    return Drawn(table, one.law, None)


def _milestones(one: World, rng: np.random.Generator) -> Drawn:
    """Rows of one run share most of their noise, which drifts along the run."""
    made = _true(replace(one, seeds=1, noise=1e-9), rng)
    n, parts = len(made.table), np.array([0.125, 0.25, 0.5, 1.0])
    shared = one.noise * (rng.standard_normal((n, 1)) + 0.3 * np.cumsum(rng.standard_normal((n, 4)), axis=1))
    table = made.table.assign(run_id=[f"r{k}" for k in range(n)]).merge(pd.DataFrame({"part": parts}), how="cross")
    table = table.assign(D=table["D"] * table.pop("part"))
    return replace(made, table=table.assign(loss=one.true(table) * np.exp(shared.ravel())))


KINDS: dict[str, Callable[[World, np.random.Generator], Drawn]] = {
    "true law": _true,
    "kink": _kink,
    "start at chance": _chance,
    "upward bend": _upwards,
    "wiggle": _wiggle,
    "changing floors": _floors,
    "heteroscedastic noise": _unequal,
    "one bad seed": _bad_seed,
    "one bad run, no seeds": _bad_run,
    "undertrained large models (column steps)": _undertrained,
    "undertrained large models (learning curves)": _still_falling,
    "rates mistuned with size (column lr)": _mistuned,
    "mixed recipes (column optimizer)": _recipes,
    "repeated rows": _rows_twice,
    "rows repeated with five digits": _rows_nearly_twice,
    "repeated examples (column D_unique)": _repeats,
    "correlated milestones": _milestones,
    "late plateau": _plateau,
    "exponents that change with N": _exponents,
    "N and D coupled": _coupled,
    "two sets mixed, no column": _two_sets,
    "large runs: the best of eight": _lucky,
    "the same, small runs with three seeds": _lucky_seeds,
}
