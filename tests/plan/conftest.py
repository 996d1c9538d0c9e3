"""An empty folder to plan in."""

from __future__ import annotations

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BETA", "0.8")
    (tmp_path / "sweeps").mkdir()
    return tmp_path
