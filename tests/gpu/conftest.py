"""Tests of what only a GPU can show, skipped with the reason elsewhere: `make test-gpu`, or tests/gpu/all.sh."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        skipped = pytest.mark.skip(reason="wants a GPU, and torch finds none")
        for item in items:
            if HERE in Path(item.path).parents:
                item.add_marker(skipped)


@pytest.fixture
def gpu():
    return torch.device("cuda", 0)
