"""Budget arithmetic: one of examples, epochs, steps or budget determines the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scaling.accounting import Counts, count
from scaling.config import RunConfig, Train
from scaling.errors import ImpossibleRun, UserError
from scaling.plan.milestones import milestone_steps

ROUNDING = 1e-9  # steps by which arithmetic in floats may miss a whole number
MOST = 2**63 - 1  # parameters of a model, and examples of a run: a table's whole numbers hold no more
LENGTHS = ("examples", "epochs", "steps", "budget")
COLUMNS = ("D", "D_unique", "epochs", "steps", "C", "C_counted")  # of records, and names in a sweep's expressions


@dataclass(frozen=True)
class Milestone:
    """The quantities of a run at one of its steps; final: the last step."""

    step: int
    D: int
    C: int
    C_counted: int
    epochs: float
    final: bool


@dataclass(frozen=True)
class Quantities:
    """The quantities of a run, counted in whole batches.

    D: examples processed; D_unique: size of the training subset (D for fresh examples); fresh: examples are drawn
    without end; C, C_counted: FLOPs; budget: requested FLOPs, None if no budget was given; milestones: steps; once:
    FLOPs spent before the first step, part of C (the features of a frozen body).
    """

    counts: Counts
    steps: int
    batch: int
    D: int
    D_unique: int
    fresh: bool
    C: int
    C_counted: int
    budget: float | None
    milestones: tuple[int, ...]
    once: int = 0

    @property
    def epochs(self) -> float:
        """The passes over the training subset, D / D_unique; 0 if nothing is trained."""
        return self.D / self.D_unique if self.D else 0.0

    def columns(self) -> dict[str, int | float]:
        """Return the quantities by column."""
        return {name: getattr(self, name) for name in COLUMNS}

    def at(self, step: int) -> Milestone:
        """Return the quantities after `step` steps."""
        D = step * self.batch
        return Milestone(
            step=step,
            D=D,
            C=self.once + self.counts.C(D),
            C_counted=self.once + self.counts.C_counted(D),
            epochs=D / self.D_unique if D else 0.0,
            final=step == self.steps,
        )


def count_model(config: RunConfig) -> Counts:
    """Count the parameters and FLOPs of a run's model from its config alone."""
    shape = config.data.shape
    if not isinstance(shape, tuple):
        raise UserError(f"found {shape!r} as the shape of data={config.data.name}; wanted a tuple; change its `shape`")
    check_outputs(config.data)
    return _count(config.model, shape, config.data.outputs)


def check_outputs(data: Any) -> None:
    """Raise UserError for a regression of several numbers, or for a single class, whose loss is always 0."""
    found, wanted = f"data.classes={data.outputs} with data={data.name}", ""
    if data.metric == "squared_error" and data.outputs != 1:
        wanted = "1, because a regression has one output"
    if data.metric == "cross_entropy" and data.outputs < 2:
        wanted = "two or more"
    if wanted:
        raise UserError(f"found {found}; wanted {wanted}; change it")


@lru_cache(maxsize=4096)
def _count(model: Any, shape: tuple[int, ...], outputs: int) -> Counts:
    counts = count(model.layers(shape, outputs))
    if counts.N_total > MOST:
        raise UserError(f"found a model of more than {MOST:.2g} parameters; wanted fewer; change its size")
    return counts


def compute_quantities(config: RunConfig, *, counts: Counts | None = None, once: int = 0) -> Quantities:
    """Compute steps, examples and FLOPs from the given length; ImpossibleRun if no batch fits.

    counts: of the trained module, by default the config's model; once: FLOPs spent once for each example of the subset.
    """
    train, pool = config.train, subset_size(config)
    counts = (counts or count_model(config)).in_batches(train.batch)
    steps = _steps(config, counts, pool, once=once)
    D = steps * train.batch
    D_unique = D if pool is None else pool
    if train.max_epochs is not None and D / D_unique > train.max_epochs:
        raise ImpossibleRun(
            f"found {D / D_unique:.4g} epochs; wanted at most train.max_epochs={train.max_epochs:g}; "
            f"raise data.size or lower train.{given_length(train)[0]}"
        )
    return Quantities(
        counts=counts,
        steps=steps,
        batch=train.batch,
        D=D,
        D_unique=D_unique,
        fresh=pool is None,
        C=once * D_unique + counts.C(D),
        C_counted=once * D_unique + counts.C_counted(D),
        budget=train.budget,
        milestones=milestone_steps(
            train.milestones,
            steps=steps,
            batch=train.batch,
            D_unique=D_unique,
            flops_per_example=counts.C(1),
            once=once * D_unique,
        ),
        once=once * D_unique,
    )


def _steps(config: RunConfig, counts: Counts, pool: int | None, *, once: int) -> int:
    """Return the number of whole batches in the given length.

    pool: examples of the subset, None for fresh ones; once: FLOPs for each example that a budget has to pay first.
    """
    train = config.train
    name, length = given_length(train)
    if pool is not None and pool < train.batch:
        raise ImpossibleRun(
            f"found a training subset of {pool} examples; wanted at least one batch of {train.batch}; "
            f"raise data.size or lower train.batch"
        )
    if pool is None and name == "epochs":
        raise UserError(
            f"found train.epochs with data={config.data.name}, whose examples are drawn fresh without end; "
            f"wanted a subset to repeat; give data.size, or train.examples instead"
        )
    examples = {
        "examples": length,
        "epochs": length * (pool or 0),
        "steps": length * train.batch,
        "budget": (length - once * (pool or 0)) / counts.C(1),
    }[name]
    if name == "budget" and examples < 0:
        raise ImpossibleRun(
            f"found train.budget={length:g}; wanted at least the {once * (pool or 0):.4g} FLOPs that the features of "
            f"{pool} examples take before the first step; raise train.budget or lower data.size"
        )
    if examples > MOST:
        raise UserError(
            f"found train.{name}={length:g}, which is {examples:.2g} examples; wanted at most {MOST:.2g}; lower it"
        )
    steps = int(examples / train.batch + ROUNDING)  # whole batches
    if steps < 1:
        raise ImpossibleRun(
            f"found train.{name}={length:g}, which buys {examples:.3g} examples; "
            f"wanted at least one batch of {train.batch}; raise train.{name} or lower train.batch"
        )
    return steps


def at_once(counts: Counts, *, D: int = 0, D_unique: int = 0, C: int = 0) -> Quantities:
    """Return the quantities of a stage that takes no steps, and is evaluated once."""
    return Quantities(
        counts, steps=1, batch=D, D=D, D_unique=D_unique, fresh=False, C=C, C_counted=C, budget=None, milestones=(1,)
    )


def given_length(train: Train) -> tuple[str, float]:
    """Return the name and the value of the given length; UserError for none, or several."""
    given = {name: getattr(train, name) for name in LENGTHS if getattr(train, name) is not None}
    choice = ", ".join(f"train.{name}" for name in LENGTHS)
    if not given:
        raise UserError(f"found no length of training; wanted exactly one of {choice}; add one")
    if len(given) > 1:
        found = " and ".join(f"train.{name}={value:g}" for name, value in given.items())
        spare = next(iter(given))
        raise UserError(f"found {found}; wanted exactly one of {choice}; take one back with train.{spare}=null")
    [(name, length)] = given.items()
    if not 0 < length < float("inf"):
        raise UserError(f"found train.{name}={length:g}; wanted a positive number; change it")
    return name, length


def subset_size(config: RunConfig) -> int | None:
    """Return the size of the training subset, None if fresh examples are drawn without end."""
    data = config.data
    if data.size is None:
        return data.examples
    if data.size < 1:
        raise UserError(f"found data.size={data.size}; wanted a positive number of examples; change it")
    if data.examples is not None and data.size > data.examples:
        raise ImpossibleRun(
            f"found data.size={data.size}; wanted at most the {data.examples} training examples of {data.name}; "
            f"lower it"
        )
    return data.size
