"""What the YAML files declare is what the classes default to, and is all a plan needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaling.config import load_class, plain, read_part
from scaling.data.base import DataSet
from scaling.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "data"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
IMAGES = {"classes": 3, "examples": 100, "image_size": 8}
MINE = {  # what the user gives
    "npz": {"file": "mine.npz", "classes": 3, "examples": 100, "features": 7},
    "npz_regression": {"file": "mine.npz", "examples": 100, "features": 7},
    "image_folder": {"folder": "pets", **IMAGES},
    "huggingface": {"dataset": "owner/pets", **IMAGES},
}


def written(name: str) -> dict[str, Any]:
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return {**values, **MINE.get(name, {})}


def declared(name: str, **changes: Any) -> DataSet:
    values = {**written(name), **changes}
    return read_part(load_class(values.pop("_target_")), values, where="data")


def test_all_data_groups_are_there() -> None:
    made = {"teacher", "linear_teacher", "mnist1d"}
    brought = {"cifar10", "cifar100", "stl10", "tinyimagenet", "imagenet1k", "imagenet21k", *MINE}
    assert set(NAMES) >= made | brought | {"digits", "fashion_mnist"}


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_says_what_the_class_defaults_to(name: str) -> None:
    values = written(name)
    kind = load_class(values["_target_"])
    default = kind(**MINE.get(name, {}))
    data = declared(name)
    assert data == default
    assert data.name == name
    assert {key: plain(data)[key] for key in values} == values


@pytest.mark.parametrize(
    ("name", "shape", "outputs", "examples"),
    [
        ("teacher", (16,), 10, None),
        ("linear_teacher", (512,), 1, None),
        ("mnist1d", (1, 40), 10, None),
        ("digits", (1, 8, 8), 10, 1_197),
        ("npz", (7,), 3, 100),
        ("npz_regression", (7,), 1, 100),
        ("image_folder", (3, 8, 8), 3, 100),
        ("huggingface", (3, 8, 8), 3, 100),
        ("fashion_mnist", (1, 28, 28), 10, 60_000),
        ("cifar10", (3, 32, 32), 10, 50_000),
        ("cifar100", (3, 32, 32), 100, 50_000),
        ("stl10", (3, 96, 96), 10, 5_000),
        ("tinyimagenet", (3, 64, 64), 200, 100_000),
        ("imagenet1k", (3, 64, 64), 1_000, 1_281_167),
        ("imagenet21k", (3, 64, 64), 11_230, 11_801_680),
    ],
)
def test_declared_sizes(name: str, shape: tuple[int, ...], outputs: int, examples: int | None) -> None:
    data = declared(name)
    assert (data.shape, data.outputs, data.examples) == (shape, outputs, examples)
    assert data.has_error is (name not in ("linear_teacher", "npz_regression"))


@pytest.mark.parametrize(
    ("name", "changes", "shape", "outputs"),
    [
        ("imagenet21k", {"image_size": 32, "classes": 10}, (3, 32, 32), 10),
        ("fashion_mnist", {"image_size": 14}, (1, 14, 14), 10),
        ("teacher", {"inputs": 4, "classes": 3}, (4,), 3),
    ],
)
def test_sizes_can_be_set(name: str, changes: dict[str, int], shape: tuple[int, ...], outputs: int) -> None:
    data = declared(name, **changes)
    assert (data.shape, data.outputs) == (shape, outputs)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("digits", {"classes": 9}),
        ("teacher", {"width": 0}),
        ("mnist1d", {"examples": 5}),
        ("cifar10", {"image_size": 0}),
    ],
)
def test_sizes_that_cannot_be_are_refused(name: str, changes: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"data.{next(iter(changes))}="):
        declared(name, **changes)


@pytest.mark.slow
def test_declaring_needs_neither_torch_nor_any_reader() -> None:
    code = (
        "import sys; from scaling.data.prepare.survey import survey; survey(); "
        "slow = ('torch', 'sklearn', 'pandas', 'PIL', 'pyarrow', 'scipy', 'hydra'); "
        "print([name for name in slow if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
