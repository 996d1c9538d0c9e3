"""The analysis for notebooks: every verb that reads a table, as a function; the documented import.

    from scaling.analysis import fit, frontier, load_table

Beside the command line it is the one place of `scaling` that knows the package `analysis`, whose own name a folder in a
user's project may have. Nothing is loaded before it is used, and never torch or Hydra.
"""

# ruff: noqa: F405
from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.verbs import *  # noqa: F403 - exactly the names in __all__, as a test asserts

__all__ = [
    "ApproachComparison",
    "Backtest",
    "Comparison",
    "Fit",
    "Forecast",
    "Frontier",
    "IsoFlop",
    "Ledger",
    "Suggestion",
    "allocate",
    "backtest",
    "columns",
    "compare",
    "fit",
    "fit_frontier",
    "forecast",
    "frontier",
    "isoflop",
    "load_table",
    "own_law",
    "plot",
    "read_ledger",
    "report",
    "suggest",
]


def __getattr__(name: str) -> Any:
    """Import on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'scaling.analysis' has no attribute {name!r}; it has {', '.join(__all__)}")
    _find_ours()
    return getattr(import_module("analysis.verbs"), name)


def _find_ours() -> None:
    """Let `analysis` be the package beside this one, even if a script or folder of that name precedes it.

    Modules in the user's folder are found after ours, or ours after those of a package that is already imported.
    Raises `ImportError` if that has a module of the same name.
    """
    ours = Path(__file__).resolve().parents[1] / "analysis"
    found = sys.modules.get("analysis")
    places = [Path(place).resolve() for place in getattr(found, "__path__", [])]
    if ours in places:
        return
    if found is None:
        spec = spec_from_file_location("analysis", ours / "__init__.py", submodule_search_locations=[str(ours)])
        assert spec is not None
        assert spec.loader is not None
        found = sys.modules["analysis"] = module_from_spec(spec)
        spec.loader.exec_module(found)
        paths = [Path(path).resolve() for path in sys.path]
        before = paths[: paths.index(ours.parent)] if ours.parent in paths else []
        found.__path__ = [str(ours), *(str(path / "analysis") for path in before if (path / "analysis").is_dir())]
        return
    twice = [name for place in places for name in sorted(_modules(place) & _modules(ours))]
    if twice:
        raise ImportError(
            f"found your package analysis at {places[0]}, whose {twice[0]} hides scaling's analysis.{twice[0]}; wanted "
            "one of them; rename yours, or import from scaling.analysis first"
        )
    found.__path__ = [*map(str, places), str(ours)]


def _modules(folder: Path) -> set[str]:
    """Return the names of the modules in a folder."""
    return {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()} - {
        "__init__",
        "__pycache__",
    }


def __dir__() -> list[str]:
    """Return the available names, for completion."""
    return list(__all__)
