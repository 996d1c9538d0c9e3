"""Check that N, D and C are in parameters, examples and FLOPs, not in billions of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.numbers import number

USUAL = 6.0
"""C / (N D) of a dense network: forward and backward pass, 2 FLOPs per multiply-add (Kaplan et al. 2020)."""
NEAR = 5.0
"""Factor around USUAL within which C / (N D) counts as usual: 2 to 8 for most networks, more with shared layers."""
SCALES = {1e3: "thousands", 1e6: "millions", 1e9: "billions", 1e12: "trillions"}
UNITS_OF_C = {1e6: "MFLOPs", 1e9: "GFLOPs", 1e12: "TFLOPs", 1e15: "PFLOPs", 1e18: "EFLOPs", 8.64e19: "PFLOP/s-days"}
UNEQUAL = 10.0
"""Ratio of the largest C / (N D) to the smallest from which units differ between rows, or C is not k N D."""
MOST_APART = 1e7
"""Examples per parameter (or parameters per example) above which one is probably in millions or billions."""
FEWEST = 1e3
"""Examples per run below which C is not of training."""
FEW = 1e4
"""Values of N or D below which a column of non-integers may be in billions."""


def doubtful_units(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each of N, D and C that seems not to be in parameters, examples or FLOPs."""
    found = {name: _positive(rows, name) for name in ("N", "D", "C")}
    sizes = {name: values for name, values in found.items() if values is not None}
    logs = [name for name in sizes if _is_logarithm(sizes[name])]
    if logs:
        return [_logarithms(name, sizes[name]) for name in logs]
    broken = [_fractions(name, sizes[name]) for name in ("N", "D") if name in sizes and _is_fraction(sizes[name])]
    if len(sizes) < 3:
        return broken or _far_apart(sizes)
    ratios = sizes["C"] / (sizes["N"] * sizes["D"])
    if np.ptp(np.log(ratios)) > np.log(UNEQUAL):
        return [
            *broken,
            f"C / (N D) is {number(float(ratios.min()), 2)} to {number(float(ratios.max()), 2)} in these rows: some "
            "may be in other units, or C is not of N and D; laws use its median",
        ]
    ratio = float(np.median(ratios))
    return broken if _near(ratio) else _by_ratio(ratio, sizes) or broken


def doubtful_error(rows: pd.DataFrame, y: str) -> list[str]:
    """Return a sentence where a response called error seems to be in per cent."""
    largest = float(rows[y].max())
    if y != "error" or largest <= 1:
        return []
    derived = '--derive "error = error / 100"'
    return [f"error is up to {number(largest)}, and a share is at most 1: in per cent? If so, {derived}"]


def _is_logarithm(values: np.ndarray) -> bool:
    """Tell whether values look like logarithms of counts: small, not integers, and similar in size."""
    return bool(
        len(values) > 3
        and values.min() > 2
        and values.max() < 75
        and values.max() < 3 * values.min()
        and (np.abs(values - np.round(values)) > 1e-6 * values).mean() > 0.3
    )


def _logarithms(name: str, values: np.ndarray) -> str:
    low, high = number(float(values.min()), 3), number(float(values.max()), 3)
    counts = "" if name == "C" else f'if in millions or billions, "{name} = 1e9 * {name}" (or 1e6), '
    return (
        f'{name} is {low} to {high}: are these logarithms? If so, --derive "{name} = 10**{name}" (or exp({name})), '
        f"{counts}else exponents are of the logarithm"
    )


def _far_apart(sizes: dict[str, np.ndarray]) -> list[str]:
    """Report integers of N or D that are too small, relative to the other, to count parameters or examples.

    Without D, report a C that would train each model on a few examples.
    """
    if {"N", "C"} == set(sizes) and np.median(examples := sizes["C"] / (USUAL * sizes["N"])) < FEWEST:
        ends = f"{number(float(examples.min()), 2)} to {number(float(examples.max()), 2)}"
        return [
            f"C / (6 N) is {ends}, so few examples that C may be of one example, or in other units: the compute of "
            'training is wanted, in FLOPs, such as --derive "C = 1e18 * C"'
        ]
    if not {"N", "D"} <= set(sizes):
        return []
    ratio = float(np.median(sizes["D"] / sizes["N"]))
    name = "N" if ratio > 1 else "D"
    if 1 / MOST_APART < ratio < MOST_APART or np.median(sizes[name]) >= FEW:
        return []
    return [_fractions(name, sizes[name])]


def _by_ratio(ratio: float, sizes: dict[str, np.ndarray]) -> list[str]:
    """Report the column whose unit is probably wrong where C / (N D) is off by a power of a thousand."""
    ratio_words = f"C / (N D) is {number(ratio, 2)}, where {number(USUAL)} is usual"
    for scale, unit in UNITS_OF_C.items():
        if ratio < 1e-2 and _near(ratio * scale):
            return [f'{ratio_words}: C seems to be in {unit}; if so, --derive "C = {power(scale)} * C"']
    small = [name for name in ("N", "D") if np.median(sizes[name]) < FEW]
    for scale, words in SCALES.items():
        for names in [[name] for name in small] + [small]:
            if names and _near(ratio / scale ** len(names)):
                which = " and ".join(f"{name} seems to be in {words}" for name in names)
                return [
                    f"{ratio_words}: {which}; if so, "
                    + " ".join(f'--derive "{n} = {power(scale)} * {n}"' for n in names)
                ]
    if ratio < 0.1 or ratio > 1e5:
        return [
            f"{ratio_words}: N, D or C is not in weights, examples and FLOPs; optimal N and D at a given C are off "
            "by the same factor"
        ]
    return []


def _fractions(name: str, values: np.ndarray) -> str:
    what = {"N": "weights", "D": "examples"}[name]
    low, high = number(float(values.min()), 3), number(float(values.max()), 3)
    return (
        f"{name} is {low} to {high}, which is no number of {what}: in millions or billions? If so, "
        f'--derive "{name} = 1e9 * {name}" (or 1e6), else results at a C in FLOPs are off by the same factor'
    )


def _is_fraction(values: np.ndarray) -> bool:
    """Tell whether values are too small to be counts and not integers."""
    return bool(np.median(values) < FEW and (np.abs(values - np.round(values)) > 1e-6 * values).mean() > 0.3) or bool(
        values.max() < 10
    )


def _near(ratio: float) -> bool:
    return USUAL / NEAR <= ratio <= USUAL * NEAR


def _positive(rows: pd.DataFrame, name: str) -> np.ndarray | None:
    if name not in rows.columns:
        return None
    values = pd.to_numeric(rows[name], errors="coerce").to_numpy(float)
    return values if len(values) and np.isfinite(values).all() and (values > 0).all() else None


def power(scale: float) -> str:
    """Write a power of ten in the syntax of expressions: 1e9."""
    return f"{scale:g}".replace("e+0", "e").replace("e+", "e")
