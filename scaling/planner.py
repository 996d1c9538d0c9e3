"""The planner as a Hydra Sweeper, so that `python -m scaling -m …` expands as `scaling run` does."""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

NAMESPACE = "hydra_plugins"  # Hydra instantiates sweepers only from modules in here
MODULE = f"{NAMESPACE}.scaling"


class Planner(Sweeper):
    """Expand the overrides of a multirun into a plan and give it to the dispatcher."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the expansion needs."""
        self.hydra_context = hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Plan and run."""
        from scaling.commands.run import execute
        from scaling.expansion import expand

        assert self.hydra_context is not None
        return execute(expand(self.hydra_context.config_loader, arguments))


Planner.__module__ = MODULE
ConfigStore.instance().store(group="hydra/sweeper", name="planner", node={"_target_": f"{MODULE}.Planner"})
