"""Numbers as people write them: 1.3B, 125M tokens, 45 %, 1,000,000, 1.234,5, 6e20, 3x10^8, 2.41 ± 0.02; their units."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.table.statuses import UNFINISHED, status_word

FACTORS = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6, "mm": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12, "p": 1e15} | {
    f"{word}{s}": scale
    for word, scale in {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}.items()
    for s in ("", "s")
}
THINGS = r"(?:param|parameter|weight|token|tok|example|sample|image|flop|nat)s?"
"""What is counted, behind a number."""
WRITTEN = re.compile(rf"([-+]?[\d., ]*\d[\d., ]*(?:e[-+]?\d+)?)\s*(%|[a-z]*?)\s*(?:{THINGS})?", re.IGNORECASE)
POWER = re.compile(r"(?:(.*\d)\s*[x×*·]\s*)?(\d+)\s*(?:\^|\*\*)\s*([-+]?\d+)(.*)")
ERROR = re.compile(r"\s*(?:±|\+/-|\+-)\s*[\d.,]+(?=\D*$)|\s*\(\s*±?\s*[\d.,]+\s*\)$")
"""The error of a number, behind it."""
APART = re.compile(r"(?<=\d)['’_\u00a0\u2009\u202f](?=\d)")
"""What may set thousands apart, beside commas, points and spaces."""
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
NOTHING = (
    *("", "nan", "none", "null", "na", "n/a", "<na>", "nat", "-", "--", "—", "–", "?", "tbd", "todo", "missing"),
    *("#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "err", "error", "dnf", "inf", "-inf", "+inf"),
    *("infinity", "-infinity", "∞", "x", "."),
)
"""What people write where there is no number."""
POINTS = re.compile(r"[-+]?\d{1,3}(\.\d{3}){2,}(,\d+)?")

NEUTRAL = ("nat", "natspertoken", "natstoken", "param", "parameter", "weight", "token", "example", "flop")
"""Units in brackets that change no number, without an s at their end."""
UNITS = {
    "k": 1e3,
    "thousand": 1e3,
    "thousands": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "t": 1e12,
    "trillion": 1e12,
    "trillions": 1e12,
    "mflop": 1e6,
    "gflop": 1e9,
    "tflop": 1e12,
    "pflop": 1e15,
    "eflop": 1e18,
    "zflop": 1e21,
    "pfdays": 8.64e19,
    "pfday": 8.64e19,
    "petaflopdays": 8.64e19,
    "petaflopsdays": 8.64e19,
    "pfsdays": 8.64e19,
}


def as_number(text: object, decimal: str = ".") -> float:
    """Read a number as people write it; NaN for anything else. decimal: the sign before its decimals, . or ,"""
    word = APART.sub("", str(text).strip().lstrip("~≈ ").replace("\u00a0", " "))
    word = ERROR.sub("", _powers(word))
    match = WRITTEN.fullmatch(word)
    factor = FACTORS.get((match[2] or "").lower()) if match else None
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


def _powers(word: str) -> str:
    """Write 3x10^8, 3×10⁸ and 2^20 with an e."""
    plain = re.sub(r"(?<=\d)(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "^", word).translate(SUPERSCRIPTS)
    match = POWER.fullmatch(plain)
    if match is None or abs(int(match[3])) > 300 or int(match[2]) > 1000:
        return plain
    if match[2] == "10":
        return f"{match[1] or 1}e{match[3]}{match[4]}"
    return plain if match[1] else f"{float(match[2]) ** int(match[3]):.17g}{match[4]}"


def points_apart(column: pd.Series) -> np.ndarray:
    """Return where points set thousands apart (n,): in all words of a column where one has two of them, 1.234.567."""
    words = column.map(lambda value: value.strip() if isinstance(value, str) else "")
    if not words.map(lambda word: bool(POINTS.fullmatch(word))).any():
        return np.zeros(len(column), dtype=bool)
    return words.str.contains(".", regex=False).to_numpy(bool)


def decimal_commas(words: pd.Series) -> bool:
    """Tell whether commas stand before decimals: one in a word at most, and not three digits behind each."""
    with_comma = [word for word in words if re.fullmatch(r"[^,]*\d,\d+.*", word.strip())]
    several = any(word.count(",") > 1 or "." in word for word in with_comma)
    return bool(with_comma) and not several and not all(re.search(r",\d{3}(?!\d)", word) for word in with_comma)


def is_nothing(word: str) -> bool:
    """Tell whether a word stands where there is no number: n/a, -, diverged, OOM."""
    return word.strip().lower() in NOTHING or status_word(word) in UNFINISHED


def factor_of(unit: str) -> float | None:
    """Return by what numbers of a unit are multiplied: 1e6 of M, 1e18 of 1e18 FLOP, 1 of nats; None for other words."""
    power = re.fullmatch(r"(?:[x×*/]\s*)?(?:1?e|10\^|10\*\*)\+?(\d+)\s*[a-z]*", unit.strip().lower())
    if power:
        return 10.0 ** int(power[1])
    letters = letters_of(unit)
    if letters.removesuffix("s") in NEUTRAL:
        return 1.0
    return UNITS.get(letters, UNITS.get(letters.removesuffix("s")))


def letters_of(text: str) -> str:
    """Return the letters of a text, in lower case."""
    return re.sub(r"[^a-z]", "", text.lower())
