"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): 60,000 + 10,000 real images of clothes, 28 x 28, ten classes.

Found in a folder of idx files, or where Debian's package dataset-fashion-mnist puts them, or through Hugging Face
`datasets`, in that order. The decompressed bytes are checked against the published files.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from scaling.config import part
from scaling.data import hub
from scaling.data.base import Arrays, Source, data_folder
from scaling.data.finite import SPLIT_SEED, FiniteSet, Whole, dealt
from scaling.data.pixels import moments, resized
from scaling.errors import UserError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
HUB = "zalando-datasets/fashion_mnist"
SHA256 = {  # of the decompressed idx files
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
HELD_OUT = 5_000  # of the 10,000 official test images validate, the other 5,000 test


@dataclass(frozen=True, kw_only=True)
class FashionMnist(FiniteSet):
    """Classify clothes; the official training images train, half of the official test images validate, half test."""

    name: ClassVar[str] = "fashion_mnist"

    classes: Literal[10] = 10
    examples: Literal[60_000] = part(60_000, identity=False)
    image_size: PositiveInt = 28
    root: str | None = part(None, identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, (channels, height, width)."""
        return (1, self.image_size, self.image_size)

    def source(self) -> Source:
        """Look for the files: `data.root`, then Debian's package, then Hugging Face `datasets`."""
        places = [data_folder(self.name, self.root), DEBIAN]
        for place in places:
            if all(_path(place, name) for name in SHA256):
                return Source(ready=True, where=str(place))
        if hub.is_installed():
            return Source(ready=True, where=f"Hugging Face datasets, {HUB}")
        return Source(
            ready=False,
            where=" nor ".join(map(str, places)),
            advice=f"apt-get install dataset-fashion-mnist, or put the four idx files into {places[0]}, "
            f"or pip install datasets",
        )

    def digest(self) -> str:
        """Return nothing: its files are the published ones, or refused."""
        return ""

    def read(self) -> Whole:
        """Read and check the four files and split the official test images."""
        source = self.source()
        if not source.ready:
            raise UserError(f"found no Fashion-MNIST, neither in {source.where}; wanted its images; {source.advice}")
        folder = Path(source.where)
        contents = {name: _read(folder, name) for name in SHA256} if folder.is_dir() else _from_hub()
        for name, content in contents.items():
            _check(name, content, where=source.where)
        train, held_out = (_arrays(contents, stem, self.image_size) for stem in ("train", "t10k"))
        validation, test = dealt(held_out, HELD_OUT, seed=SPLIT_SEED)
        return Whole(train, validation, test, *moments(train.x))


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read(folder: Path, name: str) -> bytes:
    path = _path(folder, name)
    if path is None:
        raise UserError(f"found no {name} in {folder}; wanted all four idx files; put it there")
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"found {path}, which cannot be read ({error}); fetch it again") from error


def _check(name: str, content: bytes, *, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise UserError(
            f"found {name} in {where} with SHA-256 {found[:12]}… when decompressed; wanted {SHA256[name][:12]}…, the "
            f"published file; fetch it again"
        )


def _arrays(contents: dict[str, bytes], stem: str, image_size: int) -> Arrays:
    pixels = np.frombuffer(contents[f"{stem}-images-idx3-ubyte"], dtype=np.uint8, offset=16)
    labels = np.frombuffer(contents[f"{stem}-labels-idx1-ubyte"], dtype=np.uint8, offset=8)
    return Arrays(resized(pixels.reshape(-1, 1, 28, 28).copy(), image_size), labels.astype(np.int64))


def _from_hub() -> dict[str, bytes]:
    """Fetch the set from the hub and return it as the idx files it came from, so that the same hashes apply."""
    splits = hub.fetch(HUB)
    contents = {}
    for stem, split in (("train", "train"), ("t10k", "test")):
        rows = splits[split]
        images = np.stack([np.asarray(image, dtype=np.uint8) for image in rows["image"]])
        labels = np.asarray(rows["label"], dtype=np.uint8)
        contents[f"{stem}-images-idx3-ubyte"] = _idx(images)
        contents[f"{stem}-labels-idx1-ubyte"] = _idx(labels)
    return contents


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()
