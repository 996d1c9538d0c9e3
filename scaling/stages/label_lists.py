"""Label lists: for each test example the classes that count as right."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.base import Published
from scaling.errors import UserError


def read_label_lists(path: Path, *, classes: int, examples: int, published: Published | None = None) -> np.ndarray:
    """Return which classes are right for each example, (examples, classes) bool; UserError if the file is wrong.

    published: where it is known, the file may also hold a list for each image of the published set that the test
    examples were taken from, in the order of their file names.
    """
    raw = _read(path)
    if published is not None and len(raw) == published.total:
        raw = [raw[place] for place in published.places]
    if len(raw) != examples:
        other = f", or {published.total}, one for each image of its published set" if published is not None else ""
        raise UserError(
            f"found {len(raw)} lists of labels in {path}; wanted {examples}, one for each test example in their order"
            f"{other}; mend the file"
        )
    allowed = np.zeros((examples, classes), dtype=bool)
    for row, labels in enumerate(raw):
        for label in labels:
            if not isinstance(label, int) or not 0 <= label < classes:
                raise UserError(f"found the label {label!r} in {path}; wanted 0 to {classes - 1}; mend the file")
            allowed[row, label] = True
    if not allowed.any():
        raise UserError(f"found no label in {path}; wanted classes for some of the examples; mend the file")
    return allowed


def _read(path: Path) -> list[list[Any]]:
    if not path.is_file():
        raise UserError(f"found no file {path}; wanted lists of labels; put it there, or give stage.root=FOLDER")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return _from_arrays({key: file[key] for key in file.files})
        raw = json.loads(path.read_text())
        if isinstance(raw, list) and all(isinstance(labels, list) for labels in raw):
            return raw
        raise ValueError("no list of lists")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"found {path}, which holds no lists of labels ({error}); see conf/stage/real.yaml") from error


def _from_arrays(found: dict[str, np.ndarray]) -> list[list[int]]:
    labels = found["labels"]
    if labels.ndim == 2:
        return [np.flatnonzero(row).tolist() for row in labels]
    ends = np.cumsum(found["lengths"])
    if labels.ndim != 1 or not len(ends) or ends[-1] != len(labels):
        raise ValueError("labels and lengths do not fit")
    return [part.tolist() for part in np.split(labels, ends[:-1])]
