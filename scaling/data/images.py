"""Image sets that a user provides; their sizes are declared, so that they can be planned before they are on disk.

`scaling data prepare NAME` turns the images in the set's folder into uint8 arrays of one resolution, once.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from scaling.config import part
from scaling.data.base import Source, data_folder
from scaling.data.finite import FiniteSet, Whole
from scaling.data.prepare.arrays import Prepared, find_prepared
from scaling.data.prepare.staging import staged_copy
from scaling.errors import UserError

OF_A_RUN = ("size", "seed", "stage")  # keys that do not change what is prepared


@dataclass(frozen=True, kw_only=True)
class ImageSet(FiniteSet):
    """Classify square colour images that `scaling data prepare` has put into arrays.

    root: the folder of the originals (one folder a class under train/, validation/ and test/, or Parquet files of
    those names) and of the prepared arrays; stage: a folder on node-local disk to copy the arrays to first, such as
    $TMPDIR/data.
    """

    hub: ClassVar[str] = ""  # the name of the set on Hugging Face's hub

    image_size: PositiveInt
    channels: PositiveInt = 3
    root: str | None = part(None, identity=False)
    stage: str | None = part(None, identity=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, (channels, height, width)."""
        return (self.channels, self.image_size, self.image_size)

    @property
    def hub_name(self) -> str:
        """Its name on Hugging Face's hub, "" if it is not there."""
        return self.hub

    @property
    def place(self) -> Path:
        """The folder of its originals and its prepared arrays."""
        return data_folder(self.name, self.root)

    def prepared(self) -> Path | None:
        """Return the folder of the prepared arrays of this resolution, None if there is none."""
        return find_prepared(self.place, image_size=self.image_size, channels=self.channels)

    def source(self) -> Source:
        """Look for the prepared arrays."""
        prepared = self.prepared()
        if prepared is not None:
            return Source(ready=True, where=str(prepared))
        has_files = self.place.is_dir() and any(self.place.iterdir())
        advice = f"scaling data prepare {self._declared()}" if has_files else self.originals_advice()
        return Source(ready=False, where=str(self.place), advice=advice)

    def read_from(self) -> list[Path]:
        """Return the prepared arrays, since their originals may be gone."""
        prepared = self.prepared()
        return [] if prepared is None else sorted(prepared.glob("*.npy"))

    def originals_advice(self) -> str:
        """Return advice on where to put the originals and what to do then."""
        hub = " (or pip install datasets, which fetches it from Hugging Face's hub)" if self.hub_name else ""
        return (
            f"put its images into {self.place}/train/CLASS/ and {self.place}/test/CLASS/, or its Parquet or binary "
            f"files into {self.place}{hub}, then scaling data prepare {self._declared()}"
        )

    def _declared(self) -> str:
        """Return the name and the keys that are not at their defaults, in the form of the command line."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        keys = [f"data.{key}={value}" for key, value in given.items() if key not in OF_A_RUN]
        return shlex.join([self.name, *keys])

    def read(self) -> Whole:
        """Open the prepared arrays."""
        source = self.source()
        if not source.ready:
            raise UserError(
                f"found no {self.name} at {self.image_size} pixels in {source.where}; wanted prepared images; "
                f"{source.advice}"
            )
        return Prepared.open(staged_copy(Path(source.where), self.stage)).whole()


@dataclass(frozen=True, kw_only=True)
class ImageFolder(ImageSet):
    """Any images on disk: in `folder` below `root`, one folder a class or Parquet files.

    `folder`, `classes`, `image_size` and `channels` are part of a run's identity.
    """

    name: ClassVar[str] = "image_folder"

    folder: str
    classes: PositiveInt
    examples: PositiveInt = part(identity=False)
    root: str = part(".", identity=False)

    @property
    def place(self) -> Path:
        """The folder itself."""
        return Path(self.root).expanduser() / Path(self.folder).expanduser()


@dataclass(frozen=True, kw_only=True)
class HuggingFace(ImageSet):
    """Any image set of Hugging Face's hub, by its name there; what is in its folder already is not fetched again."""

    name: ClassVar[str] = "huggingface"

    dataset: str
    classes: PositiveInt
    examples: PositiveInt = part(identity=False)

    @property
    def hub_name(self) -> str:
        """Its name on the hub, as given."""
        return self.dataset

    @property
    def place(self) -> Path:
        """The folder of files downloaded by hand and of the prepared arrays."""
        return data_folder(self.dataset.replace("/", "--"), self.root)


@dataclass(frozen=True, kw_only=True)
class Cifar10(ImageSet):
    """CIFAR-10 (Krizhevsky 2009): 10 classes of small photographs."""

    name: ClassVar[str] = "cifar10"
    hub: ClassVar[str] = "uoft-cs/cifar10"

    classes: PositiveInt = 10
    examples: PositiveInt = part(50_000, identity=False)
    image_size: PositiveInt = 32


@dataclass(frozen=True, kw_only=True)
class Cifar100(ImageSet):
    """CIFAR-100 (Krizhevsky 2009): 100 classes of small photographs."""

    name: ClassVar[str] = "cifar100"
    hub: ClassVar[str] = "uoft-cs/cifar100"

    classes: PositiveInt = 100
    examples: PositiveInt = part(50_000, identity=False)
    image_size: PositiveInt = 32


@dataclass(frozen=True, kw_only=True)
class Stl10(ImageSet):
    """STL-10 (Coates et al. 2011): 10 classes, few labelled photographs of 96 pixels."""

    name: ClassVar[str] = "stl10"
    n_test: ClassVar[int] = 4_000  # half of the official split; the other half validates
    n_validation: ClassVar[int] = 4_000

    classes: PositiveInt = 10
    examples: PositiveInt = part(5_000, identity=False)
    image_size: PositiveInt = 96


@dataclass(frozen=True, kw_only=True)
class TinyImageNet(ImageSet):
    """TinyImageNet (Le and Yang 2015): 200 classes of ImageNet at 64 pixels."""

    name: ClassVar[str] = "tinyimagenet"
    hub: ClassVar[str] = "zh-plus/tiny-imagenet"

    classes: PositiveInt = 200
    examples: PositiveInt = part(100_000, identity=False)
    image_size: PositiveInt = 64


@dataclass(frozen=True, kw_only=True)
class ImageNet1k(ImageSet):
    """ImageNet-1k (Russakovsky et al. 2015, arXiv 1409.0575), at 64 pixels."""

    name: ClassVar[str] = "imagenet1k"
    hub: ClassVar[str] = "ILSVRC/imagenet-1k"
    n_test: ClassVar[int] = 25_000  # half of the official split; the other half validates
    n_validation: ClassVar[int] = 25_000

    classes: PositiveInt = 1_000
    examples: PositiveInt = part(1_281_167, identity=False)
    image_size: PositiveInt = 64


@dataclass(frozen=True, kw_only=True)
class ImageNet21k(ImageSet):
    """ImageNet-21k cleaned after Ridnik et al. 2021 (arXiv 2104.10972), at 64 pixels."""

    name: ClassVar[str] = "imagenet21k"
    n_test: ClassVar[int] = 280_750  # half of the 50 held-out images of each class; the other half validates
    n_validation: ClassVar[int] = 280_750

    classes: PositiveInt = 11_230
    examples: PositiveInt = part(11_801_680, identity=False)
    image_size: PositiveInt = 64
