"""Write numbers: one function for each kind of number, shared by terminal, figures, tables and page.

| kind | function | for instance |
|---|---|---|
| weights, examples, steps | `count` | 2,880; 1.28×10⁶ |
| compute | `flops` | 9.53×10¹⁰ |
| parameters of a law | `number` | 0.2295; 39.07; 2.5×10⁻⁴ |
| settings of a run, which may be text | `setting` | 100; 10⁻⁵; cosine |
| exponents | `exponent` | −0.157 |
| losses, errors and other measured values | `measured` | 1.350; 0.684 ± 0.012 |
| intervals of any of these | `interval` | [0.149, 0.169] |
| how far an exponent moves | `shift` | +0.012; less than 0.001 |
| shares, factors | `percent`, `times` | 95 %; 1.66× |
| p values | `p_value` | p 0.003; p < 10⁻³⁰⁰ |
| times | `duration` | 3 min 20 s |
| ticks and legends, where room is short | `short` | 199M |

`entry` chooses among them by the name of a column. Minus signs are − and powers of ten have superscripts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
RAISED, LOWERED = str.maketrans("0123456789-", SUPERSCRIPTS), str.maketrans(SUPERSCRIPTS, "0123456789-")
LEAST, MOST = 1e-3, 1e6
"""From the first up to below the second, numbers are written without a power of ten."""

LEAST_P = 1e-300
"""p values below it are hardly numbers."""

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""Seconds of each unit of time."""
LONG = 1e6 * 86_400
"""Seconds from which a duration has a power of ten."""


def power_of_ten(value: float, digits: int = 3) -> str:
    """Write a number with a power of ten: 10⁸, 2×10⁸, 9.53×10¹⁰."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    ten = "10" + str(int(power)).translate(RAISED)
    factor = float(mantissa)
    text = ten if abs(factor) == 1 else f"{abs(factor):g}×{ten}"
    return f"−{text}" if factor < 0 else text


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with at most `digits` digits, integers up to a million in full; "" for None or NaN."""
    if value is None or np.isnan(value):
        return ""
    if np.isinf(value):
        return _minus(f"{value:g}").replace("inf", "∞")
    if float(value).is_integer() and abs(value) < MOST:
        return _minus(f"{value:,.0f}")
    rounded = float(f"{value:.{digits}g}")
    return _minus(f"{rounded:,.12g}") if LEAST <= abs(rounded) < MOST else power_of_ten(value, digits)


def p_value(p: float, digits: int = 1) -> str:
    """Write a p value with its letter: p 0.003; one that underflows as p < 10⁻³⁰⁰."""
    return f"p < {power_of_ten(LEAST_P)}" if p < LEAST_P else f"p {number(p, digits)}"


def count(value: float | None) -> str:
    """Write a count: 2,880; an estimated count such as 927.9 is rounded to four digits: 928."""
    if value is None or not np.isfinite(value) or float(value).is_integer():
        return number(value, 3)
    return number(round(float(f"{value:.4g}")), 3)


def flops(value: float | None) -> str:
    """Write an amount of compute: 2×10⁸."""
    return power_of_ten(value) if value and np.isfinite(value) else number(value)


def exponent(value: float | None) -> str:
    """Write an exponent with three decimals: −0.157."""
    return "" if value is None or np.isnan(value) else _minus(f"{value:.3f}")


def shift(difference: float) -> str:
    """Write the change of an exponent: +0.012, less than 0.001."""
    return _minus(f"{difference:+.3f}") if abs(difference) >= 5e-4 else "less than 0.001"


def measured(
    value: float | None, deviation: float = float("nan"), *, digits: int = 4, decimals: int | None = None
) -> str:
    """Write a mean ± its deviation, to two digits of the deviation.

    digits: of a mean without a deviation. decimals: fixed number of decimals. Very small and very large numbers are
    written with a power of ten: (3.18 ± 0.12)×10⁻¹⁰. "" for None or NaN.
    """
    if value is None or not np.isfinite(value):
        return number(value)
    power = _power(max(abs(value), deviation if np.isfinite(deviation) else 0.0))
    if decimals is None and not LEAST <= 10.0**power < MOST:
        inner = measured(value / 10.0**power, deviation / 10.0**power, digits=digits)
        return (f"({inner})" if "±" in inner else inner) + f"×{power_of_ten(10.0**power)}"
    if decimals is None and deviation > 0:
        decimals = max(0, min(1 - _power(deviation), 4 - power))  # at most five digits of the mean
    elif decimals is None:
        value, decimals = float(f"{value:.{digits}g}"), max(0, digits - 1 - power)
    return _minus(f"{value:,.{decimals}f}" + (f" ± {deviation:,.{decimals}f}" if np.isfinite(deviation) else ""))


def interval(ends: tuple[float, float] | None, write: Callable[[float], str] | None = None) -> str:
    """Write an interval; "" for None. write: writes one end (default: three digits, and 0 as 0)."""
    return f"[{', '.join(map(write or _end, ends))}]" if ends else ""


def _end(value: float) -> str:
    return measured(value, digits=3) if value else "0"


def percent(share: float) -> str:
    """Write a share in per cent with three digits: 95 %; more where those would be 100 %: 99.99 %; "" for NaN."""
    if np.isnan(share):
        return ""
    digits = 3
    while share < 1 and float(f"{100 * share:.{digits}g}") >= 100:
        digits += 1
    return f"{number(float(f'{100 * share:.{digits}g}'), max(4, digits))} %"


def times(factor: float | None) -> str:
    """Write a factor: 1.66×; nothing for None."""
    return f"{number(factor, 3)}×" if factor else ""


def estimated_times(factor: float) -> str:
    """Write an estimated factor with three digits: 1.30×."""
    return f"{measured(factor, digits=3)}×"


def duration(seconds: float) -> str:
    """Write a time: 4.2 s, 44 s, 3 min 20 s, 5 h 12 min, 2 d 3 h, 3×10⁷ d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds >= LONG:
        return f"{power_of_ten(seconds / 86_400)} d"
    whole = round(seconds)
    for (unit, name), (part, part_name) in pairwise(UNITS):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{whole} s"


def short(value: float) -> str:
    """Write a number for a tick or a legend with about two digits: 950, 1.2k, 34M, 2.5×10¹⁸."""
    for factor, suffix in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")):
        if 0.01 <= abs(value) < 999.5 * factor:
            part = value / factor
            return _minus(f"{float(f'{part:.2g}') if abs(part) < 99.5 else round(part):g}{suffix}")
    return power_of_ten(value, 2) if value else "0"


def entry(column: str, value: object) -> str:
    """Write a cell of the table of runs: numbers by the column's kind, text unchanged, "" for None."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return "" if value is None else str(value)
    return kind_of(column)(float(value))


def setting(value: object) -> str:
    """Write a value of a recipe: numbers, also those that are stored as text (1e-05, 100.0), as numbers."""
    try:
        return number(float(str(value)))
    except ValueError:
        return str(value)


def kind_of(column: str) -> Callable[[float | None], str]:
    """Return the function that writes a column's values: N, D, C and variants, losses and errors, other numbers."""
    symbol = column.removeprefix("run_").partition("_")[0]
    if symbol in ("N", "D"):
        return count
    if symbol == "C" or column == "budget":
        return flops
    return measured if column.endswith(("loss", "error")) else number


def _power(value: float) -> int:
    """Return the power of ten of the first digit after rounding to four digits."""
    return int(f"{value:.3e}".partition("e")[2])


def _minus(text: str) -> str:
    """Replace hyphens by minus signs, and remove the sign of a zero."""
    text = text.replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text
