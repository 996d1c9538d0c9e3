"""The rows of two values of a column, to be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.recognise.written_numbers import as_number
from analysis.table.remarks import with_remarks
from analysis.wording import counted, listed


def two_of(table: pd.DataFrame, by: str, values: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the rows of each of two values of a column, matched as text or as numbers; remark on rows without one.

    Raises `UserError` unless there are two values.
    """
    if by not in table.columns:
        raise UserError(f"found no column {by!r} among {listed(table.columns)}; wanted one to compare by; name another")
    words = table[by].astype(str)
    known = list(dict.fromkeys(words[table[by].notna()]))
    if len(known) == 1 and table[by].isna().any():  # such as an augmentation, or none
        words = words.where(table[by].notna(), f"no {by}")
        known = list(dict.fromkeys(words))
    same = {_value(word): word for word in known}
    wanted = [word if word in known else same.get(_value(word), word) for word in values] or known
    if len(known) < 2:
        raise UserError(
            f"found {known[0] if known else 'nothing'} as the one value of {by}; wanted two to compare; name another "
            "column, or the results of the other with --with"
        )
    unknown = [value for value in wanted if value not in known]
    if unknown or len(wanted) != 2:
        found = f"found {listed(unknown or wanted, 10) or 'no value'} as the values of {by} to compare"
        raise UserError(f"{found}; wanted two of {listed(known, 10)}; name two (--values A,B)")
    groups = {value: table[words == value].reset_index(drop=True) for value in wanted}
    if lacking := int((table[by].isna() & ~words.isin(known)).sum()):
        remark = f"in neither group: {counted(lacking, 'row')} without a value of {by}"
        groups[wanted[0]] = with_remarks(groups[wanted[0]], remark)
    return groups


def _value(word: str) -> str | float:
    """Return a value as it is compared with those that people type: a number, or a word in lower case."""
    number = float(f"{as_number(word):.12g}")
    return word.lower() if np.isnan(number) else number
