"""How numbers are shown to people."""

from __future__ import annotations


def seconds(value: float | None) -> str:
    """Show a duration: 0.8 s, 44 s, 3.2 min, 5.1 h, 2.4 d."""
    if value is None:
        return "–"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if value < limit:
            return f"{value / divisor:.{0 if value / divisor >= 10 else 1}f} {unit}"
    return f"{value / 86400:.1f} d"


def size(count: float) -> str:
    """Show a number of bytes: 12 kB, 3.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def big(value: float | None) -> str:
    """Show a large count: 1,234 or 1.23e+09."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}"
