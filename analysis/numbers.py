"""How numbers are written, in one notation for terminal, figures and pages."""

from __future__ import annotations

import numpy as np

SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def short(value: float) -> str:
    """Write a number in at most four characters or so: 950, 1.2k, 34M, 2.5e18."""
    for factor, suffix in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")):
        if 0.01 <= abs(value) < 999.5 * factor:
            return f"{float(f'{value / factor:.2g}') if value / factor < 99.5 else round(value / factor):g}{suffix}"
    return f"{value:.1e}".replace("e+", "e").replace(".0e", "e")


def power_of_ten(value: float, _: object = None) -> str:
    """Write 2×10⁸, in plain characters (mathtext would be parsed anew for every tick)."""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    mantissa = float(f"{value / 10.0**exponent:.3g}")
    power = "10" + str(exponent).translate(SUPERSCRIPT)
    return power if mantissa == 1 else f"{mantissa:g}×{power}"


def number(value: object) -> str:
    """Write a number for a page: at most four digits unless it is a count, powers of ten as 1.2×10⁸."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "" if value is None else str(value)
    if value != value:
        return ""
    if float(value).is_integer() and abs(value) < 1e6:
        return _comma(value)
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    if not exponent:
        return mantissa.replace("-", "\u2212")
    power = str(int(exponent)).translate(SUPERSCRIPT)
    mantissa = "" if mantissa == "1" else f"{mantissa}×"
    return f"{mantissa}10{power}" if abs(value) >= 1e6 or abs(value) < 1e-3 else _comma(float(f"{value:.4g}"))


def _comma(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.0f}").replace("-", "\u2212")


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    ends = (f"{end:.3f}".replace("-", "−") if abs(end) < 100 else number(float(f"{end:.3g}")) for end in interval)
    return f"[{', '.join(ends)}]"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")
