"""JSON schemas for editors: shipped files fit them, misspelt ones do not, and those in docs/ are up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from scaling.compose.schema import schemas

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]
SWEEPS = sorted((ROOT / "sweeps").rglob("*.yaml"))
MEMBERS = [path for path in sorted((ROOT / "conf").glob("*/*.yaml")) if path.parent.name != "recipe"]


@pytest.fixture(scope="module")
def made():
    return schemas()


def wrong(schema, text):
    return [error.json_path for error in jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text))]


def test_shipped_files_fit(made):
    assert {path.name: found for path in SWEEPS if (found := wrong(made["sweep"], path.read_text()))} == {}
    fit = {path.name: wrong(made[f"conf/{path.parent.name}"], path.read_text()) for path in MEMBERS}
    assert {name: found for name, found in fit.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("sweep: {gird: []}", "$.sweep"),
        ("sweep: {grid: [{product: {model.width: {from: 1, to: 2}}}]}", "$.sweep.grid[0]"),
        ("sweep: {}\ntrain: {bacth: 3}", "$.train"),
        ("sweep: {}\nmodel: {width: wide}", "$.model.width"),
        ("sweep: {limit: {flops: -1}}", "$.sweep.limit.flops"),
        ("model: {width: 3}", "$"),
    ],
)
def test_what_is_wrong_is_seen(made, text, where):
    assert wrong(made["sweep"], text) == [where]


def test_interpolations_and_a_users_own_keys_are_let_through(made):
    text = "sweep: {}\nmodel: {width: '${train.batch}', mine: 3}\ntrain: {batch: '${model.width}'}"
    assert wrong(made["sweep"], text) == []


def test_those_of_the_documents_are_up_to_date(made):
    folder = ROOT / "docs" / "schema"
    stale = [name for name, schema in made.items() if json.loads((folder / f"{name}.json").read_text()) != schema]
    assert stale == [], "scaling schema -o docs/schema writes them anew"
    lines = [(path.parent, line) for path in SWEEPS for line in path.read_text().splitlines() if "$schema=" in line]
    assert len(lines) >= 28, "of the shipped sweeps; a user's own beside them may have none"
    for beside, line in lines:
        assert (beside / line.partition("$schema=")[2]).resolve() == folder / "sweep.json"
