"""A labelled set of pictures: what each one shows and where its pixels are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""One decoded picture: RGB, uint8, shape (height, width, 3)."""

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")
SPLIT_WORDS: Mapping[SplitName, str] = {"train": "training", "val": "validation", "test": "test"}
"""How a sentence calls the splits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    `path` names it uniquely within its dataset and never changes between two readings of the same source:
    a POSIX path relative to the source's root for files, `train/00042` for pictures that come as arrays.
    `target` is an index into `Dataset.class_names`. `split` is the one that the source itself brings, if any.
    `group` is what the picture shares with others, such as a patient or a camera: no group is divided between splits.
    `time` says when it was taken, as a number that grows: the newest pictures validate and test.
    """

    path: str
    target: int
    split: SplitName | None = None
    group: str | None = None
    time: float | None = None


class PictureStore(Protocol):
    """Where the pixels of a dataset's samples are; safe to call from several threads at once."""

    def read(self, sample: Sample, min_side: int | None = None) -> Picture:
        """Decode one picture.

        With `min_side`, a large photograph may be decoded at a lower resolution, as long as its shorter side
        keeps at least that many pixels. Raises `DataError`, naming the file and the reason.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures with their class names, as one source brings them.

    `source` is what `load_dataset` takes to read the same again; `notes` are what the user should know.
    """

    name: str
    source: str
    samples: tuple[Sample, ...]
    class_names: tuple[str, ...]
    pictures: PictureStore
    licence: str | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Class index of every sample, shape (samples,)."""
        return np.array([sample.target for sample in self.samples], dtype=np.int64)

    def picture(self, index: int, min_side: int | None = None) -> Picture:
        """Decode one picture, uint8 RGB of shape (height, width, 3); see `PictureStore.read`."""
        return self.pictures.read(self.samples[index], min_side)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "Dataset":
        """The same dataset with these samples only, in this order."""
        return Dataset(
            self.name,
            self.source,
            tuple(self.samples[int(index)] for index in indices),
            self.class_names,
            self.pictures,
            self.licence,
            self.notes,
        )
