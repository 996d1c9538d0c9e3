"""Pictures of any size and kind, decoded into squares of uint8 pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from scaling.errors import UserError

AT_A_TIME = 2_000  # pictures decoded side by side

Picture = Path | bytes | np.ndarray  # a file, its content, or pixels (height, width, channels)


def no_names() -> None:
    """Return None: the pictures were not files of their own, and have no names."""


@dataclass(frozen=True)
class Pictures:
    """One split: `labels` (n,) int64; `read`: yields the pictures in the same order; `names`: returns their file names.

    `names` returns None where they are not known.
    """

    labels: np.ndarray
    read: Callable[[], Iterator[Picture]]
    names: Callable[[], list[str] | None] = no_names


def pixels(pictures: Pictures, *, size: int, channels: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the position of some pictures and their centre squares, (n, channels, size, size) uint8, in order."""

    def decode(picture: Picture) -> np.ndarray:
        return decoded(picture, size=size, channels=channels)

    start, source = 0, pictures.read()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and resizing release the interpreter's lock
        while block := list(islice(source, AT_A_TIME)):
            yield start, np.stack(list(pool.map(decode, block)))
            start += len(block)


def decoded(picture: Picture, *, size: int, channels: int) -> np.ndarray:
    """Return one picture's centre square at `size` pixels, (channels, size, size) uint8."""
    from PIL import Image, ImageOps

    try:
        if isinstance(picture, np.ndarray):
            image = Image.fromarray(picture)
        else:
            image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
            image.draft(None, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
        image = image.convert("RGB" if channels == 3 else "L")
    except OSError as error:
        name = picture if isinstance(picture, Path) else "a picture"
        raise UserError(f"found {name}, which cannot be decoded ({error}); mend or remove it") from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
