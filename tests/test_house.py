"""The house keeps its order: imports go one way, no file is in a circle, folders and files stay small, names stay."""

from __future__ import annotations

import ast
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import pytest

from scaling.cli import VERBS, cli
from scaling.config import load_class
from tests.sources import MODULES, PACKAGES, ROOT, trees

# Of each package from the ground up; a folder or file may import what stands on a lower line, and on its own line only
# where the line says so (left to right: later ones import earlier ones).
FLOORS = {
    "scaling": [
        ["errors", "numbers"],
        ["internals"],
        ["security"],
        ["accounting", "config", "folders", "global_streams", "limits", "on_end", "terminal_table"],
        ["content"],
        ["compose", "devices", "record"],
        ["models"],
        ["data", "optim", "schedules", "augment"],
        ["plan"],
        ["train"],
        ["forecast", "stages"],
        ["dispatch"],
        ["tune", "live"],
        ["commands"],
        ["cli"],
        ["__main__", "analysis"],
    ],
    "analysis": [
        ["errors", "numbers", "streams", "wording"],
        ["archive", "files", "typed"],
        ["console", "terminal_table"],
        ["laws", "table"],
        ["fitting"],
        ["estimates"],
        ["figures"],
        ["report"],
        ["verbs"],
        ["options", "terminal"],
        ["targets"],
        ["export"],
        ["imports", "publish"],
        ["commands"],
        ["cli"],
        ["__main__", "__init__"],
    ],
}
GROUPS = ("models", "data", "optim", "schedules", "augment", "stages")  # one file a member, as many as there are
MOST_FILES, MOST_LINES, P90_LINES = 16, 300, 16
FOREIGN = ("torch", "hydra", "omegaconf", "submitit", "optuna", "scaling")  # that analysis does without

PUBLIC = {  # what documents tell users to import, and what configs and old records name
    "analysis": ["Fit", "Suggestion", "fit", "load_table", "suggest"],
    "analysis.laws": ["own_law"],
    "scaling.analysis": [
        *(
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
        ),
        *(
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
        ),
    ],
    "scaling.accounting": ["Counts", "Layer", "count", "dense", "norm", "closed_form_C", "paper_C"],
    "scaling.config": ["part"],
    "scaling.data.base": ["Arrays", "DataSet", "Splits"],
    "scaling.data.finite": ["FiniteSet", "Whole"],
    "scaling.data.made": ["MadeSet"],
    "scaling.models.blocks": ["Block", "Network", "dense_layer", "zero_layer"],
    "scaling.dispatch.launchers": ["Limits", "Local", "Slurm"],
    "scaling.dispatch.launcher": ["Capacity", "Dispatched", "Launcher", "Settings", "Sheet"],
    "scaling.train.run": ["train_run"],
}


def imported(tree: ast.Module) -> Iterator[str]:
    """Name all that a file imports, in functions and under TYPE_CHECKING too; of `from x import y` x.y, then x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """Return the file of this project that an imported name stands for, None for other libraries."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    for candidate in (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__"):
        if candidate in MODULES:
            return candidate
    pytest.fail(f"{name} is imported and is no file")


@cache
def graph() -> dict[str, set[str]]:
    return {
        name: {found for other in imported(tree) if (found := module_of(other)) and found != name}
        for name, tree in trees().items()
    }


def part_of(module: str) -> tuple[str, str]:
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def floor_of(module: str) -> int:
    package, part = part_of(module)
    return next(level for level, names in enumerate(FLOORS[package]) if part in names)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of files that import one another (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_file_is_in_a_circle():
    assert circles(graph()) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_imports_go_down():
    inner = {"scaling.__init__", "scaling"}
    up = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if name not in inner
        and other not in inner
        and part_of(name)[0] == part_of(other)[0]
        and part_of(name) != part_of(other)
        and floor_of(name) <= floor_of(other)
    ]
    assert up == []


def test_the_packages_meet_only_in_files():
    """Analysis imports nothing of the training side, which imports its errors and spelling, to say them, and
    its verbs, to hand them on lazily."""
    foreign = {
        f"{name} imports {other}"
        for name, tree in trees().items()
        for other in imported(tree)
        if name.startswith("analysis") and other.partition(".")[0] in FOREIGN
    }
    assert foreign == set()
    across = {name for name, others in graph().items() for other in others if name[:8] != other[:8]}
    assert across == {"scaling.__main__", "scaling.analysis"}


def test_folders_and_files_stay_small():
    flat = defaultdict(list)
    for path in MODULES.values():
        flat[path.parent].append(path)
    crowded = {
        str(folder.relative_to(ROOT)): len(files)
        for folder, files in flat.items()
        if len(files) > MOST_FILES and folder.relative_to(ROOT).as_posix() not in {f"scaling/{name}" for name in GROUPS}
    }
    assert crowded == {}
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_what_decides_on_runs_asks_for_files_with_exists():
    """Path.exists and Path.is_file say no to any error from Python 3.14 on: see scaling.folders.exists."""
    asked = re.compile(r"\.(exists|is_file)\(\)")
    places = [path for part in ("dispatch", "plan", "train") for path in (ROOT / "scaling" / part).rglob("*.py")]
    assert [str(path.relative_to(ROOT)) for path in places if asked.search(path.read_text())] == []


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's code, without its head and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_stay_short():
    lengths = [
        length_of(node)
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_LINES


@pytest.mark.parametrize("module", PUBLIC)
def test_documented_names_stay(module):
    found = import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


def test_analysis_exports_what_is_pinned():
    assert import_module("analysis").__all__ == PUBLIC["analysis"]


def test_the_verbs_are_those_of_the_analysis():
    names = import_module("scaling.analysis").__all__
    assert names == PUBLIC["scaling.analysis"] == import_module("analysis.verbs").__all__


def test_no_exported_name_is_that_of_a_module_beside_it():
    """`from package import name` gives the function or the module, whichever was loaded last."""
    exported = {*PUBLIC, *(name for name in MODULES if name.endswith("__init__"))}
    clashes = []
    for name in exported:
        package = name.removesuffix(".__init__")
        found = import_module(package)
        names = {*getattr(found, "__all__", ()), *PUBLIC.get(package, ())}
        clashes += [
            f"{package}.{one}" for one in names if {f"{package}.{one}", f"{package}.{one}.__init__"} & set(MODULES)
        ]
    assert clashes == []


def test_both_packages_say_that_they_are_typed():
    assert [(ROOT / package / "py.typed").is_file() for package in PACKAGES] == [True, True]


def test_every_class_that_a_config_names_is_written_down_under_the_same_name():
    """Configs, queues and records name classes by their path: what is read is what was written."""
    named = {
        line.partition(":")[2].strip()
        for path in (ROOT / "conf").rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("_target_:")
    }
    assert len(named) > 30
    written = {f"{kind.__module__}.{kind.__qualname__}" for kind in map(load_class, named)}
    assert written == named


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented_and_shows_an_example(verb):
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(f"scaling {verb}" in page.read_text() for page in pages)
    command = cli.get_command(None, verb)
    assert "Example" in (command.epilog or "")
    assert f"scaling {verb}" in (command.epilog or "")


def test_tests_mirror_the_packages():
    """Each folder of tests is one of the packages', or stands for what no folder does."""
    own = {"analysis", "benchmarks", "fixtures", "gpu", "page", "paper", "slurm"}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    strangers = []
    for folder in folders:
        package = ROOT if folder.parts[:1] == ("analysis",) else ROOT / "scaling"
        if folder.parts and not (package / folder).is_dir() and folder.parts[0] not in own:
            strangers.append(str(folder))
    assert strangers == []
