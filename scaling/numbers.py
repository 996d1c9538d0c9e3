"""Numbers as text: durations, bytes, counts, compute; as analysis/numbers.py writes them."""

from __future__ import annotations

from itertools import pairwise

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))  # seconds of each unit of time
LONG = 1e6 * 86_400  # seconds from which a duration has a power of ten


def many(n: int, noun: str) -> str:
    """Show a number of things: 1 run, 2 runs."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Show a duration: 4.2 s, 44 s, 3 min 20 s, 5 h 12 min, 2 d 3 h, 3×10⁷ d; – for None."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds >= LONG:
        return f"{flops(seconds / 86_400)} d"
    whole = round(seconds)
    for (unit, name), (part, part_name) in pairwise(UNITS):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{whole} s"


def size(count: float) -> str:
    """Show a number of bytes: 12 kB, 3.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def big(value: float | None) -> str:
    """Show a large count: 1,234 or 1.23×10⁹."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) < 1e6 else flops(value)


def flops(value: float) -> str:
    """Show an amount of compute: 0, 2×10⁸, 9.53×10¹⁰."""
    mantissa, _, power = f"{value:.2e}".partition("e")
    ten, factor = "10" + str(int(power)).translate(SUPERSCRIPTS), float(mantissa)
    return "0" if not value else ten if factor == 1 else f"{factor:g}×{ten}"


def measured(value: float) -> str:
    """Show a loss or an error by four digits, last zeros too: 1.220, 0.3900."""
    return f"{value:#.4g}".rstrip(".")


def cost(value: float, unit: str) -> str:
    """Show the cost of runs in the unit of a limit: 9.53×10¹⁰ FLOPs, 1.5 GPU-hours."""
    return f"{flops(value)} FLOPs" if unit == "flops" else f"{value:.3g} GPU-hours"
