"""List the data sets on this machine, and prepare them: for `scaling data` and `scaling doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.compose.members import member, members
from scaling.config import check_frozen, read_group
from scaling.data.base import DataSet, Splits, Stream
from scaling.data.images import ImageSet
from scaling.data.memory import MEMORY
from scaling.data.prepare.arrays import Prepared, prepared_folder
from scaling.data.prepare.file_lock import locked
from scaling.data.prepare.originals import find_pictures, fingerprint, from_hub
from scaling.data.prepare.write import Watch, unwatched, write_prepared
from scaling.errors import UserError


@dataclass(frozen=True)
class Found:
    """A data set by name: `where` it is or was looked for; advice: what to do where it is not ready."""

    name: str
    ready: bool
    where: str
    advice: str


@dataclass(frozen=True)
class Ready:
    """A data set that a run can use, opened and checked; notes: sentences on what its splits lack."""

    name: str
    where: str
    shape: tuple[int, ...]
    classes: int
    n_train: int | None  # None: without end
    n_validation: int
    n_test: int
    chance: float
    notes: tuple[str, ...] = ()


def survey() -> list[Found]:
    """Return for every data set whether it is on this machine; reads no examples."""
    found = (_look_for(name, file) for name, file in members("data").items())
    return [entry for entry in found if entry is not None]


def prepare(
    name: str, settings: Mapping[str, Any] | None = None, *, watch: Watch = unwatched, force: bool = False
) -> Ready:
    """Prepare a data set, open it and check it; UserError says what is missing and what to do.

    settings: data keys by name, such as {"image_size": 64, "root": "…"}. Images are decoded, cropped, resized and
    written beside the originals, once for each resolution, and again where the originals have changed since, or with
    `force`; other data needs no preparation and is only checked.
    """
    data = read_set(name, settings or {})
    if isinstance(data, ImageSet) and (force or not _is_current(data)):
        _prepare_images(data, watch, force=force)
    splits = data.load(None)
    return Ready(
        name=name,
        where=data.source().where,
        shape=data.shape,
        classes=data.classes,
        n_train=None if isinstance(splits.train, Stream) else len(splits.train),
        n_validation=len(splits.validation),
        n_test=len(splits.test),
        chance=splits.chance,
        notes=tuple(_lacking(data, splits)),
    )


def _lacking(data: DataSet, splits: Splits) -> Iterator[str]:
    """Yield a sentence for each held-out split that lacks classes; one class: a regression."""
    for name, labels in (("validation", splits.validation.y), ("test", splits.test.y)):
        lacking = [] if data.classes == 1 else np.flatnonzero(np.bincount(labels, minlength=data.classes) == 0).tolist()
        if lacking:
            yield (
                f"{len(lacking):,} of {data.classes:,} classes have no {name} example, the first of label "
                f"{lacking[0]}: the {name} loss and error say nothing about them"
            )


def read_set(name: str, settings: Mapping[str, Any]) -> DataSet:
    """Return the data set of this name with some of its keys set."""
    data: DataSet = read_group("data", member("data", name, settings))
    check_frozen("data", data)
    return data


def _is_current(data: ImageSet) -> bool:
    """Return whether images are prepared from the present originals, which may also have been removed."""
    found = data.prepared()
    if found is None:
        return False
    before, now = Prepared.open(found).facts.originals, fingerprint(data.place)
    return before in (None, now) or not now


def _prepare_images(data: ImageSet, watch: Watch, *, force: bool) -> None:
    """Turn images into arrays, unless another process has just done so."""
    folder, pictures, originals = data.place, find_pictures(data.place), fingerprint(data.place)
    if not pictures and data.source().ready and not force:
        return
    if not pictures and data.hub_name:
        pictures, originals = from_hub(data.hub_name), f"hub {data.hub_name}"
    if not pictures:
        raise UserError(f"found no images of {data.name} in {folder}; wanted its originals; {data.originals_advice()}")
    labels = pictures["train"].labels if "train" in pictures else np.zeros(0, dtype=np.int64)
    if len(labels) and len(labels) != data.examples:
        raise UserError(
            f"found {len(labels)} training images in {folder}; wanted the {data.examples} declared for {data.name}; "
            f"complete them, or give data.examples={len(labels)} to use these"
        )
    sizes = {"image_size": data.image_size, "channels": data.channels}
    final = prepared_folder(folder, **sizes)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(final.with_name(f".{final.name}.lock"), doing=f"preparing {final}"):
        if force or not _is_current(data):
            write_prepared(pictures, folder, **sizes, originals=originals, watch=watch)
    MEMORY.clear()  # may hold what lay there before


def _look_for(name: str, file: Path) -> Found | None:
    """Return where a data set is; None for a file without sizes, such as npz, or without a class."""
    try:
        config = member("data", name)
        if "_target_" not in config or None in (config.get("classes", 1), config.get("examples", 1)):
            return None
        source = read_group("data", config).source()
    except UserError as error:  # only this file is left out
        return Found(name, ready=False, where=str(file), advice=str(error))
    return Found(name, source.ready, source.where, source.advice)
