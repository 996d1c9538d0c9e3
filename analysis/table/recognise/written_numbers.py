"""Read written numbers with units: 1.3B, 125M tokens, 45 %, 1,000,000, 1.234,5, 6e20, 3x10^8, 2.41 ± 0.02."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.table.recognise.statuses import UNFINISHED, status_word

FACTORS = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6, "mm": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12, "p": 1e15}
FACTORS |= {"percent": 0.01, "pct": 0.01, "mio": 1e6, "mn": 1e6, "mln": 1e6, "mrd": 1e9, "tn": 1e12}
FACTORS |= {
    f"{word}{s}": scale
    for word, scale in {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}.items()
    for s in ("", "s")
}
PER = r"(?:(?:/| per )(?:tok(?:en)?|byte|char(?:acter)?|word))?"
THINGS = rf"(?:param|parameter|weight|token|tok|example|sample|image|flop|nat)s?{PER}"
"""Nouns counted, after a number."""
BITS = re.compile(rf"bits?{PER}|bp[bcw]", re.IGNORECASE)
NATS = 0.6931471805599453
"""Nats in a bit."""
WRITTEN = re.compile(r"([-+]?[\d., ]*\d[\d., ]*(?:e[-+]?\d+)?)\s*(\D*)", re.IGNORECASE)
COUNTED = re.compile(rf"(%|[a-z]*?)\s*(?:{THINGS})?", re.IGNORECASE)
SCALES = {"kilo": 1e3, "mega": 1e6, "giga": 1e9, "tera": 1e12, "peta": 1e15, "exa": 1e18, "zetta": 1e21, "yotta": 1e24}
SCALES |= {name[0]: scale for name, scale in SCALES.items()}
FLOPS = re.compile(rf"({'|'.join(SCALES)})?(?:flops*|fs*(?=d))(days?)?")
"""The letters of a unit of compute: EFLOPs, PF-days, petaflop/s-days."""
DAY = 86_400.0
"""Seconds."""
POWER = re.compile(r"(?:(.*\d)\s*[x×*·]\s*)?(\d+)\s*(?:\^|\*\*)\s*([-+]?\d+)(.*)")
ERROR = re.compile(
    r"\s*(?:±|\+/-|\+-)\s*[\d.,]+(?=\D*$)|\s*\(\s*±?\s*[\d.,]+\s*\)$"
    r"|\s*[\[(]\s*[\d.,]+\s*(?:[,;–-]|to)\s*[\d.,]+\s*[\])]$"
)
"""The error or interval after a number."""
MARK = re.compile(r"(?<=[\w%.)\]])\s*(?:[*†‡§¶]{1,3}|\[(?:[a-z]|\d{1,2})\]|\^[a-z*†‡§¶])$")
"""A footnote mark after a number: *, †, [a], [12], ^a."""
SET = re.compile(r"([*_]{1,2}|[`$])(.+)\1|\\[a-z]+\{([^{}]+)\}")
"""A number in bold or math markup: **3.21**, $3.21$, \\textbf{3.21}."""
APART = re.compile(r"(?<=\d)['’_\u00a0\u2009\u202f](?=\d)")
"""Thousands separators besides commas, points and spaces."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}(?!\d|[eE][-+]?\d)")
"""A number with commas as thousands separators."""
WHOLE = ("width", "depth", "batch", "step", "steps")
"""Columns without decimals."""
RESPONSES = ("loss", "error")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
NOTHING = (
    *("", "nan", "none", "null", "na", "n/a", "<na>", "nat", "-", "--", "—", "–", "?", "tbd", "todo", "missing"),
    *("#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "err", "error", "dnf", "inf", "-inf", "+inf"),
    *("infinity", "-infinity", "∞", "x", "."),
)
"""Markers of a missing number."""
POINTS = re.compile(r"[-+]?\d{1,3}(\.\d{3}){2,}(,\d+)?")

NEUTRAL = ("nat", "natspertoken", "natstoken", "param", "parameter", "weight", "token", "example", "flop")
"""Units in brackets that do not scale a number, in the singular."""


def as_number(text: object, decimal: str = ".") -> float:
    """Read a written number; NaN for anything else. decimal: the decimal separator, . or ,"""
    word = MARK.sub("", _bare(text))
    word = ERROR.sub("", _powers(APART.sub("", word.lstrip("~≈ ").replace("\u00a0", " "))))
    match = WRITTEN.fullmatch(word)
    factor = _multiple(match[2].strip(" .")) if match else None
    if match is None or factor is None:
        return float("nan")
    digits = match[1].strip()
    for apart in (" ", "," if decimal == "." else "."):
        if apart in digits and not re.fullmatch(rf"[-+]?\d{{1,3}}(\{apart}\d{{3}})+(\{decimal}\d*)?", digits):
            return float("nan")
        digits = digits.replace(apart, "")
    try:
        return float(digits.replace(decimal, ".")) * factor
    except ValueError:
        return float("nan")


def read_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as floats (n,), NaN where empty, and a mask (n,) of other text. Durations become seconds."""
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan), np.zeros(len(column), dtype=bool)
    plain = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan, copy=True)
    left = (np.isnan(plain) & column.notna().to_numpy()) | (thousands := _points_apart(column))
    if not left.any():
        return plain, left
    words = column[left].astype(str)
    points = bool(thousands.any())
    known = words.drop_duplicates()
    comma = "," if points or _decimal_commas(known, np.nanmax(plain, initial=0), str(column.name)) else "."
    plain[left] = words.map({word: as_number(word, decimal=comma) for word in known})
    left &= np.isnan(plain)
    left[left] = ~column[left].astype(str).map(_is_nothing).to_numpy(bool)
    return plain, left


def _bare(text: object) -> str:
    """Return a written number without markup: 3.21 of **3.21**, 1.2×10^21 of $1.2 \\times 10^{21}$."""
    word = str(text).strip()
    match = SET.fullmatch(word)
    word = (match[2] or match[3]).strip() if match else word
    return re.sub(r"\^\{([^{}]*)\}", r"^\1", re.sub(r"\\(?:times|cdot)\b", "×", word))


def counts_alone(column: pd.Series) -> bool:
    """Tell whether the numbers of a column have no units, so that a unit in its name applies."""
    words = column.dropna().astype(str).map(lambda word: MARK.sub("", _bare(word)))
    return all(_is_nothing(word) or not re.search(r"[a-df-z%]|e(?![-+]?\d)", word.lower()) for word in words)


def mark_of(text: object) -> str:
    """Return the footnote mark after a number; empty if there is none."""
    match = MARK.search(_bare(text))
    return match[0].strip() if match else ""


def _multiple(unit: str) -> float | None:
    """Return the factor of a unit after a number; None for other words."""
    if BITS.fullmatch(unit):
        return NATS
    match = COUNTED.fullmatch(unit)
    factor = FACTORS.get(match[1].lower()) if match else None
    return factor or flops_of(unit)


def _powers(word: str) -> str:
    """Rewrite 3x10^8, 3×10⁸ and 2^20 in e notation."""
    plain = re.sub(r"(?<=\d)(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "^", word).translate(SUPERSCRIPTS)
    plain = re.sub(r"(?<=\d)\s*[x×·]\s*10-(?=\d)", "e-", plain)  # copied from a PDF without its superscript
    match = POWER.fullmatch(plain)
    if match is None or abs(int(match[3])) > 300 or int(match[2]) > 1000:
        return plain
    if match[2] == "10":
        return f"{match[1] or 1}e{match[3]}{match[4]}"
    return plain if match[1] else f"{float(match[2]) ** int(match[3]):.17g}{match[4]}"


def _points_apart(column: pd.Series) -> np.ndarray:
    """Return a mask (n,) of values with points as thousands separators: all in a column where one is like 1.234.567."""
    words = column.map(lambda value: value.strip() if isinstance(value, str) else "")
    if not words.map(lambda word: bool(POINTS.fullmatch(word))).any():
        return np.zeros(len(column), dtype=bool)
    return words.str.contains(".", regex=False).to_numpy(bool)


def are_thousands(cells: Sequence[str], name: str = "") -> bool:
    """Tell whether commas separate thousands: all precede three digits, and some are in round or large numbers.

    name: that of the cells' column, if it is known. A width has no decimals, and a loss of 3,000 is no round number.
    """
    return all(THOUSANDS.match(cell) for cell in cells) and any(
        name in WHOLE or (cell.endswith(",000") and name not in RESPONSES) or len(cell.lstrip("+-")) > len("1,000")
        for cell in cells
    )


def _decimal_commas(words: pd.Series, largest: float, name: str) -> bool:
    """Tell whether commas are decimal separators: at most one per value, and not of thousands.

    largest: of the values without a comma. From 10 on, as in 760 beside 1,300, commas before three digits are of
    thousands. name: the column.
    """
    with_comma = [word.strip() for word in words if re.fullmatch(r"[^,]*\d,\d+.*", word.strip())]
    several = any(word.count(",") > 1 or "." in word.rstrip(" .") for word in with_comma)
    thousands = all(THOUSANDS.match(word) for word in with_comma) and (largest >= 10 or are_thousands(with_comma, name))
    return bool(with_comma) and not several and not thousands


def _is_nothing(word: str) -> bool:
    """Tell whether a word marks a missing number: n/a, -, diverged, OOM."""
    return word.strip().lower() in NOTHING or status_word(word) in UNFINISHED


def factor_of(unit: str) -> float | None:
    """Return the factor of a unit: 1e6 for M, 1e18 for 1e18 FLOP, .01 for %, 1 for nats; None for other words."""
    if BITS.fullmatch(unit.strip()):
        return NATS
    if unit.strip() == "%":
        return FACTORS["%"]
    power = re.fullmatch(r"(?:[x×*/]\s*)?(?:1?e|10\^|10\*\*)\+?(\d{1,2})\s*[a-z]*", unit.strip().lower())
    if power:
        return 10.0 ** int(power[1])
    letters = _letters_of(unit)
    if re.search(r"\d", unit) or not letters:  # 70B is a number
        return None
    return 1.0 if letters.removesuffix("s") in NEUTRAL else FACTORS.get(letters) or flops_of(unit)


def flops_of(unit: str) -> float | None:
    """Return the FLOPs in a unit: 1e18 for EFLOPs, 8.64e19 for PF-days; None for others, such as TFLOP/s."""
    match = FLOPS.fullmatch(_letters_of(unit))
    if match is None or (match[2] is None and re.search(r"/\s*s|per s", unit.lower())):
        return None
    return SCALES.get(match[1], 1.0) * (DAY if match[2] else 1.0)


def _letters_of(text: str) -> str:
    """Return the letters of a text, in lower case."""
    return re.sub(r"[^a-z]", "", text.lower())
