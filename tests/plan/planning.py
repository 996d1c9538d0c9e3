"""Sweeps written, planned and read in few words."""

from __future__ import annotations

from scaling.compose.session import session
from scaling.plan.expand import expand


def sweep(here, text):
    """Write sweeps/mine.yaml."""
    (here / "sweeps" / "mine.yaml").write_text(text)


def planned(*arguments):
    """Return the plan of a command line."""
    with session() as loader:
        return expand(loader, arguments)


def of(plan, *keys):
    """Return the values of keys such as model.width, a tuple a run."""

    def value(config, key):
        for step in key.split("."):
            config = getattr(config, step)
        return config

    return [tuple(value(run.config, key) for key in keys) for run in plan.runs]
