from __future__ import annotations

import pytest

from tests.stages.family import done, parent_run
from tests.train.conftest import one_thread  # noqa: F401 - a fixture of these tests too


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A results folder and the run in it that the stages start from."""
    results = tmp_path_factory.mktemp("results")
    parent = parent_run()
    done(parent, results)
    return results, parent
