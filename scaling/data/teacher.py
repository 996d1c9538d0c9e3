"""Labels of a fixed random network: noiseless, unlimited, and without a file.

The inputs are standard normal. The teacher is a random ReLU network whose outputs are scaled and shifted so that the
classes are equally frequent; the label is its largest output, so that the irreducible loss is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from pydantic import PositiveInt

from scaling.data.base import Arrays
from scaling.data.made import MadeSet
from scaling.data.seeds import generator
from scaling.errors import UserError

REFERENCE = 1 << 16  # examples on which the classes are balanced
ROUNDS = 40  # of balancing, which leave the classes within about 0.1 % of each other on the reference examples
STEP = 0.3  # of balancing, in deviations of the outputs
LEAST = 0.5  # least share of a class, relative to an equal share
RECTIFIED, NORMAL = 40, 150  # cost of a hidden unit and of a random number, in products: measured on a CPU
ROWS = 2_048  # examples passed through at a time: in the cache, which takes less than half as long


@dataclass(frozen=True)
class TeacherNetwork:
    """The teacher: its matrices and output shift, in float64 so that labels do not depend on a machine's rounding."""

    matrices: tuple[np.ndarray, ...]
    shift: np.ndarray

    def labels(self, x: np.ndarray) -> np.ndarray:
        """Return the class of each row of `x` (n, inputs), (n,) int64."""
        return np.argmax(outputs(self.matrices, x) + self.shift, axis=1)


@dataclass(frozen=True, kw_only=True)
class Teacher(MadeSet):
    """Classify standard normal inputs as a random network with `depth` hidden layers of `width` units does."""

    name: ClassVar[str] = "teacher"
    row_by_row: ClassVar[bool] = True

    classes: PositiveInt = 10
    inputs: PositiveInt = 16
    width: PositiveInt = 64
    depth: PositiveInt = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (inputs,)."""
        return (self.inputs,)

    @property
    def task_seed(self) -> int:
        """The seed, as another seed makes another teacher."""
        return self.seed

    @property
    def draw_work(self) -> float:
        """The work of making an example, in products of its network."""
        hidden = [self.width] * self.depth
        products = sum(rows * columns for rows, columns in pairwise([self.inputs, *hidden, self.classes]))
        return products + RECTIFIED * sum(hidden) + NORMAL * self.inputs

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        """Draw `n` inputs and label them."""
        x = rng.standard_normal((n, self.inputs), dtype=np.float32)
        return Arrays(x, self.network().labels(x))

    def network(self) -> TeacherNetwork:
        """Return the teacher network."""
        return self.remember("making", "network", self._make)

    def _make(self) -> TeacherNetwork:
        rng = generator(self.name, "weights", self.seed)
        sizes = [self.inputs, *[self.width] * self.depth, self.classes]
        matrices = [rng.standard_normal((rows, columns)) * np.sqrt(2 / rows) for rows, columns in pairwise(sizes)]
        x = generator(self.name, "reference", self.seed).standard_normal((REFERENCE, self.inputs), dtype=np.float32)
        return balanced(matrices, x)


def outputs(matrices: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the outputs of a bias-free ReLU network for each row of `x`, (n, outputs) float64."""
    found = np.empty((len(x), matrices[-1].shape[1]))
    for start in range(0, len(x), ROWS):
        hidden = x[start : start + ROWS].astype(np.float64)
        for matrix in matrices[:-1]:
            hidden = hidden @ matrix
            np.maximum(hidden, 0.0, out=hidden)
        np.matmul(hidden, matrices[-1], out=found[start : start + ROWS])
    return found


def balanced(matrices: Sequence[np.ndarray], x: np.ndarray) -> TeacherNetwork:
    """Scale and shift the outputs until each class is the largest one equally often on the examples `x`."""
    raw = outputs(matrices, x)
    scale = 1 / raw.std(axis=0)
    logits = raw * scale
    shift = -logits.mean(axis=0)
    classes, by_class = len(shift), np.ascontiguousarray(logits.T)
    for _ in range(ROUNDS):
        excess = np.log(np.maximum(_shares(by_class, shift) * classes, LEAST))
        shift -= STEP * np.clip(excess, -1, 1)
    if _shares(by_class, shift).min() * classes < LEAST:
        raise UserError(
            f"found a teacher that hardly ever chooses some of its {classes} classes; wanted them balanced; "
            f"raise data.width, or lower data.classes or data.depth"
        )
    return TeacherNetwork((*matrices[:-1], matrices[-1] * scale), shift)


def _shares(by_class: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return how often each row of (classes, n), shifted, is the largest one, the first of equals.

    As argmax over the rows of the transpose would tell, in a sixth of its time.
    """
    shifted = by_class + shift[:, None]
    largest, counts = shifted.max(axis=0), []
    free = np.ones(len(largest), dtype=bool)
    for row in shifted:
        first = (row == largest) & free
        free &= ~first
        counts.append(np.count_nonzero(first))
    return np.array(counts) / len(largest)
