"""Minimise a response over the logarithms of one or several keys, for many resampled responses at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.estimates.valleys.curve import Parabola

REACH = float(np.log(4.5))
"""The paraboloid is fitted to the values within this distance of the best one, in the log of each key."""

STEEP = 1.5
"""Responses above this multiple of the lowest (training nearly diverged) are left out if enough others remain."""

SYMMETRIC = Parabola()


@dataclass(frozen=True)
class Paraboloid:
    """A paraboloid y = a + b·v + v·K·v in v = z - centre, z being the logarithms of d keys, for k responses.

    constant: (k,); slope: (k, d); curvature K: (k, d, d), symmetric; centre (d,); low, high: (d,), the range of the
    fitted values; window: indices of those values; shape: of the curve of one key, which may be skewed.
    """

    constant: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    window: np.ndarray
    shape: Parabola

    def value(self, z: np.ndarray) -> np.ndarray:
        """Return the first paraboloid's values (n,) at z (n, d)."""
        v = z - self.centre
        if z.shape[1] == 1:
            return self.shape.basis(v[:, 0]) @ self._of_one_key[0]
        return self.constant[0] + v @ self.slope[0] + np.einsum("ni,ij,nj->n", v, self.curvature[0], v)

    def minima(self) -> np.ndarray:
        """Return the minimum of each paraboloid, (k, d) in z; NaN where it has none inside the fitted values."""
        if self.slope.shape[1] == 1:
            return self._inside(self.shape.vertex(self._of_one_key)[:, None] + self.centre)
        found = np.full_like(self.slope, np.nan)
        convex = np.flatnonzero(np.linalg.eigvalsh(self.curvature)[:, 0] > 0)  # smallest eigenvalue first
        if len(convex):
            found[convex] = np.linalg.solve(2 * self.curvature[convex], -self.slope[convex][..., None])[..., 0]
        return self._inside(found + self.centre)

    @property
    def _of_one_key(self) -> np.ndarray:
        """Return the coefficients (k, 3) of one key's parabolas."""
        return np.stack([self.constant, self.slope[:, 0], self.curvature[:, 0, 0]], axis=1)

    def _inside(self, found: np.ndarray) -> np.ndarray:
        """Return minima (k, d), NaN where they are outside the fitted values."""
        inside: np.ndarray = np.all((found >= self.low) & (found <= self.high), axis=1)
        return np.where(inside[:, None], found, np.nan)

    def rise(self, z: np.ndarray, far: float) -> np.ndarray:
        """Return the relative rise of the first one at a distance from z (d,) along each key: mean of both sides."""
        sides = z + far * np.stack([np.eye(len(z)), -np.eye(len(z))])
        return self.value(sides.reshape(-1, len(z))).reshape(2, -1).mean(axis=0) / self.value(z[None]) - 1

    def least(self) -> int:
        """Return the key on which the first paraboloid depends least within the fitted values."""
        v = np.linspace(self.low - self.centre, self.high - self.centre, 50)
        return int(np.argmin(np.ptp(v * self.slope[0] + v**2 * np.diag(self.curvature[0]), axis=0)))


def parameters(d: int) -> int:
    """Return the number of parameters of a paraboloid of d keys."""
    return 1 + d + d * (d + 1) // 2


def fit_paraboloid(z: np.ndarray, Y: np.ndarray, shape: Parabola = SYMMETRIC) -> Paraboloid | None:
    """Fit a paraboloid to each response by least squares, near the first one's best value.

    z: (n, d), logarithms of the keys; Y: (k, n); shape: of the curve of one key. None where the values, even with the
    window widened to all, do not exceed the number of parameters.
    """
    wanted = parameters(z.shape[1]) + 1
    return fit_in_window(z, Y, _window(z, Y[0], wanted), shape) if len(z) >= wanted else None


def fit_in_window(z: np.ndarray, Y: np.ndarray, window: np.ndarray, shape: Parabola) -> Paraboloid | None:
    """Fit a paraboloid to each response at the values of a window; None where they do not determine it."""
    centre, d = z[window].mean(axis=0), z.shape[1]
    v = z[window] - centre
    basis = shape.basis(v[:, 0]) if d == 1 else _basis(v)
    rank = len(set(v[:, 0].tolist())) if d == 1 else np.linalg.matrix_rank(basis)
    if rank < basis.shape[1]:
        return None
    coefficients = Y[:, window] @ np.linalg.pinv(basis).T
    curvature = np.zeros((len(Y), d, d))
    rows, columns = _upper(d)
    halves = coefficients[:, 1 + d :] / 2
    curvature[:, rows, columns] += halves
    curvature[:, columns, rows] += halves
    low, high = z[window].min(axis=0), z[window].max(axis=0)
    return Paraboloid(coefficients[:, 0], coefficients[:, 1 : 1 + d], curvature, centre, low, high, window, shape)


def _window(z: np.ndarray, y: np.ndarray, wanted: int) -> np.ndarray:
    """Return the indices of the values to fit: those near the best one, at least as many as wanted."""
    usable = y <= STEEP * y.min()
    if usable.sum() < wanted:
        usable[:] = True
    distance = np.where(usable, np.abs(z - z[np.argmin(y)]).max(axis=1), np.inf)
    reach = max(REACH, float(np.sort(distance)[wanted - 1]))
    return np.flatnonzero(distance <= reach + 1e-9)


@cache
def _upper(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the upper triangle of a d x d matrix."""
    return np.triu_indices(d)


def _basis(v: np.ndarray) -> np.ndarray:
    rows, columns = _upper(v.shape[1])
    return np.concatenate([np.ones((len(v), 1)), v, v[:, rows] * v[:, columns]], axis=1)
