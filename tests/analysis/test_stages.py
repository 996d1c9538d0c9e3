"""What stages do stands in the table's columns: analysis knows none of them by name."""

from __future__ import annotations

import ast
import re

import pytest

from tests.analysis.worlds import ROOT

STAGES = {path.stem for path in (ROOT / "conf" / "stage").glob("*.yaml")} - {"train"}


def strings(tree: ast.Module) -> set[str]:
    """Return the strings of a file that are no docstrings."""
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in expressions)
    return {node.value for node in constants if isinstance(node.value, str)}


@pytest.mark.slow
def test_no_stage_is_named():
    assert len(STAGES) >= 5
    named = {}
    for path in (ROOT / "analysis").rglob("*.*"):
        if path.suffix in (".py", ".html"):
            text = path.read_text()
            found = (
                strings(ast.parse(text))
                if path.suffix == ".py"
                else {re.sub(r"<style>.*</style>", "", text, flags=re.S)}
            )
            named[path.name] = STAGES & {word for one in found for word in re.findall(r"\w+", one)}
    assert {name: words for name, words in named.items() if words} == {}
    assert named
