"""Pictures that come as arrays and stay in memory: CIFAR, digits and the like."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset, Picture, Sample, SplitName

ArrayName = SplitName | Literal["all"]
"""The split that an array holds; `all` where the source brings no splits."""


class ArrayStore:
    """Reads samples whose `path` is `<array>/<index>`, such as `train/00042`, out of arrays.

    `arrays` are uint8 of shape (pictures, height, width, 3), all of the same height and width. They are not copied.
    """

    def __init__(self, arrays: Mapping[ArrayName, NDArray[np.uint8]]) -> None:
        shapes = {array.shape[1:] for array in arrays.values()}
        if len(shapes) != 1 or any(array.ndim != 4 or array.shape[3] != 3 for array in arrays.values()):
            raise ValueError(f"pictures of one shape (height, width, 3) are needed, these have {sorted(shapes)}")
        self._arrays = {str(name): array for name, array in arrays.items()}
        self.height, self.width = int(next(iter(shapes))[0]), int(next(iter(shapes))[1])

    def read(self, sample: Sample, min_side: int | None = None) -> Picture:
        """Copy one picture, whole, whatever `min_side` is; see `PictureStore.read`."""
        name, index = _locate(sample)
        picture: Picture = self._arrays[name][index].copy()
        return picture

    def read_many(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Copy many pictures at once: uint8 of shape (samples, height, width, 3), in the order asked for."""
        pictures = np.empty((len(samples), self.height, self.width, 3), dtype=np.uint8)
        places: dict[str, tuple[list[int], list[int]]] = {}
        for row, sample in enumerate(samples):
            name, index = _locate(sample)
            rows, indices = places.setdefault(name, ([], []))
            rows.append(row)
            indices.append(index)
        for name, (rows, indices) in places.items():
            pictures[rows] = self._arrays[name][indices]
        return pictures


def array_samples(name: ArrayName, targets: Iterable[int]) -> list[Sample]:
    """One sample for each picture of one array, in its order."""
    split = None if name == "all" else name
    return [Sample(f"{name}/{index:05d}", int(target), split) for index, target in enumerate(targets)]


def array_dataset(
    name: str,
    source: str,
    splits: Mapping[ArrayName, tuple[NDArray[np.uint8], Iterable[int]]],
    class_names: Sequence[str],
    licence: str | None,
) -> Dataset:
    """A dataset of arrays: for each split its pictures (pictures, height, width, 3) and their targets (pictures,)."""
    samples = [sample for split, (_, targets) in splits.items() for sample in array_samples(split, targets)]
    store = ArrayStore({split: pictures for split, (pictures, _) in splits.items()})
    return Dataset(name, source, tuple(samples), tuple(class_names), store, licence)


def _locate(sample: Sample) -> tuple[str, int]:
    name, _, index = sample.path.partition("/")
    return name, int(index)
