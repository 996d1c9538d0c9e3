"""The reference paper's names of models as members of the group: model=B-12/Wi-1024, model=S-6/Wi-1024."""

from __future__ import annotations

import re

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from scaling.compose.roots import shipped

FAMILIES = {"B": "bottleneck", "S": "mlp"}
NAME = re.compile(r"model/(?P<family>[BS])-(?P<depth>\d+)/Wi-(?P<width>[1-9]\d*)(\.yaml)?")


class AliasSource(ConfigSource):
    """A config source that serves model/B-L/Wi-m as the family's own YAML with depth L and width m, for any L and m."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search path's entry."""
        return "aliases"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read the family's YAML and set depth and width."""
        name = NAME.fullmatch(config_path)
        if name is None:
            raise ConfigLoadError(f"found no model {config_path}")
        config = OmegaConf.load(shipped("conf") / "model" / f"{FAMILIES[name['family']]}.yaml")
        config.merge_with({"depth": int(name["depth"]), "width": int(name["width"])})
        return ConfigResult(
            provider=self.provider, path=f"{self.scheme()}://", config=config, header={"package": "model"}
        )

    def available(self) -> bool:
        """Return True: the names always exist."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return False: the group itself is not provided here."""
        return False

    def is_config(self, config_path: str) -> bool:
        """Return whether the path names a model of the paper."""
        return NAME.fullmatch(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List nothing, because there are infinitely many names."""
        return []
