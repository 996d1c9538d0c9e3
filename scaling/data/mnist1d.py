"""MNIST-1D (Greydanus and Kobak 2020, arXiv 2011.14439): ten strokes of 12 points, hidden among 40.

The published recipe and constants, written for whole arrays: pad with zeros, dilate to 72 points, scale, roll, fill the
padding with correlated noise, add white noise, shear, resample to 40 points. The position of the signal varies and says
nothing of the class, so that models with and without translation invariance differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from scaling.data.base import Arrays, Splits, Stream
from scaling.data.made import MadeSet

# The published templates of the digits 0 to 9.
STROKES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
HEIGHT = 1 / 6  # of a template after standardisation
PADDING = (36, 60)  # zeros appended, both ends included
LENGTH = STROKES.shape[1] + PADDING[1]  # points after dilation
POINTS = 40  # of an example
SCALE = 0.4  # width of the range of the factor, about 1
TRANSLATIONS = 48  # places to roll to
CORRELATED_NOISE, SMOOTHING = 0.25, 2  # deviation before the Gaussian filter, and the filter's in points
WHITE_NOISE = 0.02
SHEAR = 0.75  # width of the range of the slope, about 0
MEAN, STD = -0.0060, 0.1548  # of x, over 524,288 examples


@dataclass(frozen=True, kw_only=True)
class Mnist1d(MadeSet):
    """Classify noisy sequences of 40 points by which of ten strokes each contains."""

    name: ClassVar[str] = "mnist1d"

    classes: Literal[10] = 10

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, (channels, points)."""
        return (1, POINTS)

    def draw(self, n: int, rng: np.random.Generator) -> Arrays:
        """Draw `n` examples of equally frequent classes."""
        y = np.minimum((rng.random(n) * self.classes).astype(np.int64), self.classes - 1)
        return Arrays(sequences(y, rng)[:, None, :], y)

    def splits(self, train: Arrays | Stream, validation: Arrays, test: Arrays) -> Splits:
        """Return the splits with the mean and deviation of the distribution."""
        return replace(super().splits(train, validation, test), mean=(MEAN,), std=(STD,))


def sequences(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one distorted sequence a digit, (n, 40) float32; `digits` (n,) int64."""
    n = len(digits)
    stroke = STROKES.shape[1]
    padding = PADDING[0] + (rng.random(n) * (PADDING[1] - PADDING[0] + 1)).astype(np.int64)
    roll = (rng.random(n) * TRANSLATIONS).astype(np.int64)
    scale = 1 + SCALE * (rng.random((n, 1), dtype=np.float32) - 0.5)
    shear = SHEAR * (rng.random((n, 1), dtype=np.float32) - 0.5)

    points = (np.arange(LENGTH) - roll[:, None]) % LENGTH
    inside = points * (stroke + padding - 1)[:, None] < stroke * (LENGTH - 1)  # in front of the padding
    signal = scale * dilated()[digits[:, None], padding[:, None] - PADDING[0], points]
    noise = rng.standard_normal((n, LENGTH), dtype=np.float32) @ (CORRELATED_NOISE * smoothing())
    x = np.where(inside, signal, noise)
    x += WHITE_NOISE * rng.standard_normal((n, LENGTH), dtype=np.float32)
    x -= shear * np.linspace(-0.5, 0.5, LENGTH, dtype=np.float32)
    return x @ resampling()


@cache
def templates() -> np.ndarray:
    """Return the standardised templates that start at 0, (10, 12)."""
    centred = STROKES - STROKES.mean(axis=1, keepdims=True)
    standard = centred / STROKES.std(axis=1, keepdims=True)
    return (standard - standard[:, :1]) * HEIGHT


@cache
def dilated() -> np.ndarray:
    """Return each template with each padding, stretched to 72 points, (10, paddings, 72) float32."""
    stroke = STROKES.shape[1]
    paddings = range(PADDING[0], PADDING[1] + 1)
    ends = [np.linspace(0, stroke + padding - 1, LENGTH) for padding in paddings]
    padded = np.pad(templates(), ((0, 0), (0, PADDING[1])))
    table = [[np.interp(at, np.arange(padded.shape[1]), template) for at in ends] for template in padded]
    return np.array(table, dtype=np.float32)


@cache
def smoothing() -> np.ndarray:
    """Return the Gaussian filter as a matrix to multiply from the right, (72, 72) float32."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.eye(LENGTH, dtype=np.float32), SMOOTHING, axis=1)


@cache
def resampling() -> np.ndarray:
    """Return linear interpolation from 72 to 40 points as a matrix to multiply from the right, (72, 40) float32."""
    old, new = np.linspace(0, 1, LENGTH), np.linspace(0, 1, POINTS)
    return np.stack([np.interp(new, old, unit) for unit in np.eye(LENGTH)]).astype(np.float32)
