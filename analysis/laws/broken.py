"""Smoothly broken power laws (Caballero et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws.additive import AdditiveLaw, Power, Term
from analysis.laws.base import COEFFICIENT, FLOOR, Array, Bound, Inputs, between

BEYOND = 3.0
"""Distance in log x outside the data up to which a break may lie: a factor of 20."""


@dataclass(frozen=True)
class BrokenLaw(AdditiveLaw):
    """E + b x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i). Inner: d, over x's centre, and f as logarithms."""

    breaks: int = 1

    def terms(self, theta: Array, inputs: Inputs) -> list[Term]:
        """Return the one term, with all its derivatives."""
        x = inputs["x"]
        b, c0 = theta[1][:, None], theta[2][:, None]
        which, u = [1, 2], b - c0 * x
        du: list[Array | float] = [1.0, -x]
        d2u: dict[tuple[int, int], Array | float] = {}
        for k in range(self.breaks):
            c, d, log_f = (theta[3 + 3 * k + i][:, None] for i in range(3))
            f = np.exp(log_f)
            z = (x - d) / f
            soft, up = np.logaddexp(0.0, z), 1 / (1 + np.exp(-z))
            bump = up * (1 - up)
            fall = f * (soft - z * up)
            at = len(which)
            which += [3 + 3 * k + i for i in range(3)]
            u = u - c * f * soft
            du += [-f * soft, c * up, -c * fall]
            d2u |= {
                (at, at + 1): up,
                (at, at + 2): -fall,
                (at + 1, at + 1): -c * bump / f,
                (at + 1, at + 2): -c * z * bump,
                (at + 2, at + 2): -c * (fall + f * z**2 * bump),
            }
        return [Term(tuple(which), u, tuple(du), d2u)]

    def unseen(self, theta: Array, inputs: Inputs) -> tuple[str, ...]:
        """Name breaks with fewer than two settings on one side."""
        x = np.unique(inputs["x"])
        sides = {k + 1: "below" if d < x[1] else "beyond" for k, d in enumerate(theta[4::3]) if not x[1] <= d <= x[-2]}
        return tuple(f"the break d{k} lies {side} the data: its other side was not seen" for k, side in sides.items())

    def shapes(self, inputs: Inputs, u: Array) -> Array:
        """Draw breaks, sharp and soft, over the data's range, a fourth of them over a wider one."""
        x = inputs["x"]
        theta = np.zeros((len(self.params), u.shape[1]))
        theta[2] = between(u[0], 0.01, 1.5)
        for k in range(self.breaks):
            theta[3 + 3 * k] = between(u[1 + 3 * k], 0.02, 1.5) * np.where(np.arange(u.shape[1]) % 3 == 0, -0.5, 1.0)
            theta[4 + 3 * k] = x.min() + (k + u[2 + 3 * k]) / self.breaks * np.ptp(x)
            wide = x.min() - BEYOND + u[2 + 3 * k] * (np.ptp(x) + 2 * BEYOND)
            theta[4 + 3 * k] = np.where(np.arange(u.shape[1]) % 4 == 3, wide, theta[4 + 3 * k])
            theta[5 + 3 * k] = np.log(between(u[3 + 3 * k], 0.1, 1.5))
        theta[2] = np.maximum(theta[2], -theta[3::3][: self.breaks].clip(max=0).sum(axis=0) + 0.01)
        return theta


def _broken(breaks: int) -> BrokenLaw:
    """Build the broken law with that many breaks."""
    bounds = {"E": FLOOR, "b": COEFFICIENT, "c0": Bound(-2.0, 10.0)}
    product = ""
    for k in range(1, breaks + 1):
        bounds |= {f"c{k}": Bound(-10.0, 10.0), f"d{k}": Bound(-25.0, 25.0), f"f{k}": Bound(-4.6, 2.3)}
        product += f" (1 + (x/d{k})^(1/f{k}))^(-c{k} f{k})"
    return BrokenLaw(
        name=f"bnsl{breaks}",
        params=tuple(bounds),
        inputs=("x",),
        formula=f"E + b x^-c0{product}",
        source="Caballero et al. 2023, arXiv 2210.14891",
        bounds=bounds,
        exponents=dict.fromkeys(("c0", *(f"c{k}" for k in range(1, breaks + 1))), "x"),
        powers=(Power("b", "c0", "x"),),
        logs={f"{name}{k}": x for k in range(1, breaks + 1) for name, x in (("d", "x"), ("f", ""))},
        breaks=breaks,
        candidate=breaks == 1,  # nine parameters fit any curve, so two breaks are not tried by default
    )


BNSL1, BNSL2 = _broken(1), _broken(2)
