"""The planner as a Hydra Sweeper, so that `python -m scaling -m …` expands as `scaling run` does."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from scaling.commands.run import execute
from scaling.compose.session import SWEEPER
from scaling.plan.expand import expand


class Planner(Sweeper):
    """Expand the overrides of a multirun into a plan and give it to the dispatcher."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the expansion needs."""
        self.hydra_context = hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Plan and run."""
        assert self.hydra_context is not None
        return execute(expand(self.hydra_context.config_loader, arguments))


def register_sweeper() -> None:
    """Let Hydra find the planner under its name in the config; safe to call again."""
    module, _, _ = SWEEPER.rpartition(".")
    Planner.__module__ = module
    Plugins.instance().register(Planner)
    # After the scan, which would otherwise take the alias for a package and miss installed plugins.
    namespace = module.partition(".")[0]
    sys.modules.setdefault(namespace, ModuleType(namespace))
    sys.modules[module] = sys.modules[__name__]
