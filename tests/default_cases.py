"""Which cases of a parametrised test the default run sees; their brothers on the same path run with the slow tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def default_cases(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the cases, those that are not kept marked slow; a case of several values is a tuple."""
    cases = list(cases)
    assert all(one in cases for one in kept), "a kept case is none of the cases"
    return [case if case in kept else _slow(case) for case in cases]


def _slow(case: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
