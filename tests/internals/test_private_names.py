"""Private names of other libraries stand in scaling/internals and nowhere else."""

from __future__ import annotations

import ast
import re
from importlib import import_module

from tests.sources import PACKAGES, trees

NAMED_TUPLES = ("_replace", "_asdict", "_fields")  # public names of theirs, whatever stands in front
STANDARD = ("os._exit", "atexit._run_exitfuncs")  # of Python itself: how a fork ends
IN_TEXT = re.compile(r"\b(?!scaling|analysis)\w+(\.\w+)*\._[a-z]\w*")


def own_trees() -> dict[str, ast.Module]:
    return {name: tree for name, tree in trees().items() if not name.startswith("scaling.internals.")}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES


def imported(node: ast.AST) -> list[str]:
    """Return the dotted names that an import statement brings in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def foreign(names: list[str]) -> list[str]:
    return [name for name in names if name.split(".")[0] not in PACKAGES]


def private_uses(tree: ast.AST) -> list[str]:
    """Return what an attribute, an import, getattr or a text names that its owner did not offer."""
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        found += [name for name in foreign(imported(node)) if any(map(is_private, name.split(".")))]
        if (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and ast.unparse(node.value) not in ("self", "cls", "super()")
        ):
            found += [use for use in (ast.unparse(node),) if use not in STANDARD]
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "getattr"
            and len(node.args) > 1
        ):
            found += [a.value for a in node.args[1:2] if isinstance(a, ast.Constant) and is_private(a.value)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            found += [match.group() for match in IN_TEXT.finditer(node.value)]
    return found


def test_no_private_name_of_another_library_is_used():
    found = {name: private_uses(tree) for name, tree in own_trees().items()}
    assert {name: uses for name, uses in found.items() if uses} == {}


def test_the_check_finds_what_it_looks_for():
    uses = """
from hydra._internal.x import Y
import torch
torch._foreach_add_([], [])
job._process
getattr(torch, "_sample")
"-m submitit.core._submit"
"torch._dynamo, said in a docstring"
self._own = analysis._other
"""
    found = private_uses(ast.parse(f"{uses}\nx = '-m submitit.core._submit'"))
    assert set(found) == {
        "hydra._internal.x.Y", "torch._foreach_add_", "job._process", "_sample", "submitit.core._submit",
        "analysis._other",
    }  # fmt: skip


def test_no_class_overrides_a_private_method_of_another_library():
    found = []
    for name, tree in own_trees().items():
        for node in tree.body:
            private = [
                part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef) and is_private(part.name)
            ]
            if isinstance(node, ast.ClassDef) and node.bases and private:
                kind = getattr(import_module(name), node.name)
                theirs = [base for base in kind.__mro__[1:] if base.__module__.split(".")[0] not in PACKAGES]
                found += [f"{node.name}.{key}" for key in private if any(key in vars(base) for base in theirs)]
    assert found == []
