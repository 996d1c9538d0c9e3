"""Let Hydra find sweeps and users' configs: config sources for sweeps/ and ./conf, and the search path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf

from scaling.compose.roots import roots, shipped
from scaling.compose.yaml_size import check_size
from scaling.errors import UserError
from scaling.internals.hydra import FileConfigSource

GROUP = "sweep"


class SweepSource(ConfigSource):
    """A config source that serves FOLDER/x/y.yaml as sweep/x/y, always in the global package."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the search path's entries."""
        return "sweeps"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read one sweep file."""
        file = self._file(config_path)
        if file is None or not file.is_file():
            raise ConfigLoadError(f"found no sweep {config_path}")
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{self.path}",
            config=_load(file),
            header={"package": "_global_"},
        )

    def available(self) -> bool:
        """Return whether the folder exists."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Return whether the path names a folder of sweeps."""
        folder = self._inside(config_path)
        return folder is not None and (Path(self.path) / folder).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Return whether the path names a sweep."""
        file = self._file(config_path)
        return file is not None and file.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List the sweeps and folders of sweeps at the path."""
        folder = self._inside(config_path)
        if folder is None:
            return [GROUP] if config_path == "" and results_filter != ObjectType.CONFIG else []
        found = sorted((Path(self.path) / folder).iterdir())
        files = [file.stem for file in found if file.suffix == ".yaml"]
        folders = [file.name for file in found if file.is_dir()]
        if results_filter is None:
            return files + folders
        return files if results_filter == ObjectType.CONFIG else folders

    def _inside(self, config_path: str) -> str | None:
        head, _, rest = config_path.strip("/").partition("/")
        return rest if head == GROUP else None

    def _file(self, config_path: str) -> Path | None:
        rest = self._inside(config_path.removesuffix(".yaml"))
        return Path(self.path) / f"{rest}.yaml" if rest else None


def _load(file: Path) -> Any:
    check_size(file)
    found = OmegaConf.load(file)
    if not isinstance(found, DictConfig) or not isinstance(found.get("defaults", OmegaConf.create([])), ListConfig):
        raise UserError(f"found {file} without keys, or with defaults that are not a list; mend the file")
    if "hydra" in found or any("hydra" in str(default) for default in found.get("defaults", ())):
        raise UserError(
            f"found hydra settings in {file}, which can name code that Hydra runs; wanted keys of runs; take them "
            f"out, or put them into a conf of your own"
        )
    _check_choices(file, OmegaConf.to_container(found, resolve=False))
    return found


def _check_choices(file: Path, written: Any) -> None:
    """Raise UserError for members of groups that are chosen in another way than by `override /GROUP: NAME`."""
    for group, keys in written.items():
        if isinstance(keys, dict) and "_target_" in keys:
            raise UserError(
                f"found {group}._target_ in {file}; wanted a member of the group {group}, with its keys; put it into "
                f"conf/{group}/NAME.yaml and write defaults: [override /{group}: NAME]"
            )
    groups = {folder.name for root in roots("conf") for folder in root.iterdir() if folder.is_dir()}
    entries = [entry for entry in written.get("defaults") or [] if isinstance(entry, dict)]
    defaults = [(f"defaults: {key}", key, name) for entry in entries for key, name in entry.items()]
    chosen = [(key, key, name) for key, name in written.items() if isinstance(name, str)]
    for shown, key, name in (*defaults, *chosen):
        group = str(key).removeprefix("override ").lstrip("/ ")
        if group in groups and not str(key).startswith("override /"):
            raise UserError(
                f"found {shown}: {name} in {file}; wanted members of groups in its defaults list; "
                f"write defaults: [override /{group}: {name}]"
            )


class CheckedFiles(FileConfigSource):
    """Hydra's source of config files, from ./conf, --config-dir and hydra.searchpath: users' files are checked."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read one config; UserError for numbers that YAML misreads, and too many aliases."""
        file = Path(self.path) / f"{config_path.removesuffix('.yaml')}.yaml"
        if Path(self.path) != shipped("conf") and file.is_file():
            check_size(file)
        return super().load_config(config_path)


class SearchPath(SearchPathPlugin):
    """Put the user's ./conf and ./sweeps first, then the package's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders that exist."""
        search_path.append(provider="scaling", path="aliases://")
        for folder in reversed(roots("sweeps")):
            search_path.prepend(provider="sweeps", path=f"sweeps://{folder}")
        for folder in roots("conf"):
            if folder != shipped("conf"):
                search_path.prepend(provider="user", path=f"file://{folder}")
