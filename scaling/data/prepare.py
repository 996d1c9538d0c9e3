"""What data there is on this machine, and making ready what needs it: `scaling data prepare` and `scaling doctor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from scaling.config import load_class, read_part
from scaling.data.base import Arrays, DataSet, Source
from scaling.data.images import ImageSet
from scaling.data.memory import MEMORY
from scaling.data.originals import find_pictures, from_hub
from scaling.data.prepared import write_prepared
from scaling.data.roots import data_folder
from scaling.errors import UserError

TARGETS = {
    "teacher": "scaling.data.teacher.Teacher",
    "linear_teacher": "scaling.data.linear_teacher.LinearTeacher",
    "mnist1d": "scaling.data.mnist1d.Mnist1d",
    "digits": "scaling.data.digits.Digits",
    "fashion_mnist": "scaling.data.fashion_mnist.FashionMnist",
    "cifar10": "scaling.data.images.Cifar10",
    "cifar100": "scaling.data.images.Cifar100",
    "stl10": "scaling.data.images.Stl10",
    "tinyimagenet": "scaling.data.images.TinyImageNet",
    "imagenet1k": "scaling.data.images.ImageNet1k",
    "imagenet21k": "scaling.data.images.ImageNet21k",
}

Watch = Callable[[str, int, int], None]  # split, pictures done, pictures in all


@dataclass(frozen=True)
class Found:
    """A data set on this machine: `where` it is or was looked for; `advice` says what to do where it is not ready."""

    name: str
    ready: bool
    where: str
    advice: str


@dataclass(frozen=True)
class Ready:
    """A data set that a run can use, opened and checked."""

    name: str
    where: str
    shape: tuple[int, ...]
    classes: int
    n_train: int | None  # None: without end
    n_validation: int
    n_test: int
    chance: float


def survey() -> list[Found]:
    """Say of every data set whether it is on this machine; reads no examples."""
    return [_found(name, read_set(name, {}).source()) for name in TARGETS]


def prepare(name: str, settings: Mapping[str, Any] | None = None, *, watch: Watch | None = None) -> Ready:
    """Make a data set ready, open it and check it; UserError says what is missing and what to do.

    `settings`: data keys by name, such as {"image_size": 64, "root": "…"}. Images are decoded, cropped, resized and
    written beside the originals, once for each resolution; what is made or read as it is needs no more than the check.
    """
    data = read_set(name, settings or {})
    if isinstance(data, ImageSet) and not data.source().ready:
        data = _prepare_images(data, watch)
    splits = data.load(None)
    return Ready(
        name=name,
        where=data.source().where,
        shape=data.shape,
        classes=data.classes,
        n_train=len(splits.train) if isinstance(splits.train, Arrays) else None,
        n_validation=len(splits.validation),
        n_test=len(splits.test),
        chance=splits.chance,
    )


def read_set(name: str, settings: Mapping[str, Any]) -> DataSet:
    """Return the data set of this name with some of its keys set."""
    if name == "npz":
        target = "scaling.data.npz.Npz"
    elif name in TARGETS:
        target = TARGETS[name]
    else:
        close = get_close_matches(name, [*TARGETS, "npz"], n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(TARGETS)} and npz"
        raise UserError(f"found no data set {name!r}; {hint}")
    return read_part(load_class(target), dict(settings), where="data")


def _prepare_images(data: ImageSet, watch: Watch | None) -> ImageSet:
    folder = data_folder(data.name, data.root)
    pictures = find_pictures(folder)
    if not pictures and data.hub:
        pictures = from_hub(data.hub)
    if not pictures:
        raise UserError(f"found no images of {data.name} in {folder}; wanted its originals; {data.originals_advice()}")
    labels = pictures["train"].labels if "train" in pictures else np.zeros(0, dtype=np.int64)
    if len(labels) and len(labels) != data.examples:
        raise UserError(
            f"found {len(labels)} training images in {folder}; wanted the {data.examples} declared for {data.name}; "
            f"complete them, or give data.examples={len(labels)} to use these"
        )
    write_prepared(pictures, folder, image_size=data.image_size, channels=data.channels, watch=watch)
    MEMORY.clear()  # may hold what lay there before
    return data


def _found(name: str, source: Source) -> Found:
    return Found(name, source.ready, source.where, source.advice)
