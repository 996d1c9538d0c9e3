"""Pictures of any size and kind, decoded into squares of uint8 pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

AT_A_TIME = 2_000  # pictures decoded side by side
SIXTEEN = ("PNG", "PPM")  # formats whose greys of more than 8 bits Pillow reads as 16 in 32

Picture = Path | bytes | np.ndarray  # a file, its content, or pixels (height, width, channels)


def no_names() -> None:
    """Return None: the pictures were not files of their own, and have no names."""


@dataclass(frozen=True)
class Pictures:
    """One split: `labels` (n,) int64; read: yields the pictures in the same order; names: returns their file names.

    `names` returns None if they are not known.
    """

    labels: np.ndarray
    read: Callable[[], Iterator[Picture]]
    names: Callable[[], list[str] | None] = no_names


def pixels(pictures: Pictures, *, size: int, channels: int, start: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the position of some pictures, from `start`, and their centre squares, (n, channels, size, size) uint8."""

    def decode(picture: Picture, row: int) -> np.ndarray:
        return decoded(picture, size=size, channels=channels, row=row)

    source = islice(pictures.read(), start, None)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and resizing release the interpreter's lock
        while block := list(islice(source, AT_A_TIME)):
            yield start, np.stack(list(pool.map(decode, block, count(start))))
            start += len(block)


def decoded(picture: Picture, *, size: int, channels: int, row: int = 0) -> np.ndarray:
    """Return one picture's centre square at `size` pixels, (channels, size, size) uint8.

    row: of its split, from 0, by which an error names a picture that has no file.
    """
    from PIL import Image, ImageOps

    if isinstance(picture, Path) and not picture.is_file():  # opening a pipe would wait forever
        raise UserError(f"found {picture}, which is no file, or a link to none; mend or remove it")
    try:
        if isinstance(picture, np.ndarray):
            image = Image.fromarray(picture)
        else:
            image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
            image.draft(None, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
        image = _eight_bits(image, _named(picture, row)).convert("RGB" if channels == 3 else "L")
    except MemoryError:
        raise
    except Exception as error:  # Pillow has one for each way in which a file is broken, or too large
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"found {_named(picture, row)}, which cannot be decoded ({error}); mend or remove it"
        ) from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _eight_bits(image: Image, name: str) -> Image:
    """Return the higher 8 bits of a 16-bit grey image, like Pillow for colours; UserError if the scale is unknown."""
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(
            f"found {name}, whose pixels are {'whole numbers' if image.mode == 'I' else 'floats'} of 32 "
            f"bits; wanted 8 or 16 bits a channel, whose white is known; convert it"
        )
    return image


def _named(picture: Picture, row: int) -> str:
    return str(picture) if isinstance(picture, Path) else f"a picture in row {row:,} (from 0)"
