"""The table of all runs shows a column once."""

from __future__ import annotations

import pandas as pd

from analysis import load_table
from analysis.report.tables.run_table import RunTable


def test_a_column_that_is_taken_as_d_is_not_listed_a_second_time():
    table = load_table(
        pd.DataFrame({"tokens": [1000, 2000, 3000], "host": ["a", "b", "c"], "val_loss": [3.0, 2.5, 2.0]})
    )
    assert RunTable(table, None).columns == ["host", "D", "loss"]


def test_columns_that_differ_from_it_are():
    table = load_table(pd.DataFrame({"tokens": [1, 2, 3], "D": [1.0, 2.0, 4.0], "val_loss": [3.0, 2.5, 2.0]}))
    assert RunTable(table, None).columns == ["tokens", "D", "loss"]
