"""Pictures that a program hands over: paths of files anywhere, or arrays of numbers."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset, Sample
from frostline.data.encoded import EncodedStore, open_picture

ValueRange = tuple[float, float]
"""The numbers that stand for black and for white."""

_ROUNDING = 1e-6
"""How far a number may lie outside its range, as a part of it, and still count as black or white."""


class PathStore(EncodedStore):
    """Pictures in files that have no folder in common; `files` has the file of each sample, by `Sample.path`."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def name(self, sample: Sample) -> str:
        """The path of the file."""
        return self._files[sample.path]

    def open(self, sample: Sample) -> BinaryIO:
        """Open one file; see `EncodedStore.open`."""
        return open_picture(Path(self._files[sample.path]))


def path_dataset(
    name: str, source: str, paths: Sequence[str], targets: Iterable[int], class_names: Sequence[str]
) -> Dataset:
    """A dataset of files. A path that is given several times is a sample each time, all of one group."""
    times = Counter(paths)
    files: dict[str, str] = {}
    samples = []
    for path, target in zip(paths, targets, strict=True):
        unique, number = path, 1
        while unique in files:
            number += 1
            unique = f"{path}#{number}"
        files[unique] = path
        samples.append(Sample(unique, int(target), group=path if times[path] > 1 else None))
    return Dataset(name, source, tuple(samples), tuple(class_names), PathStore(files))


def as_paths(given: Any) -> list[str] | None:
    """The paths in a list, an array or a single column of them; None where something else is given.

    Raises `ValueError` where one path stands alone, or some cells are paths and others are not.
    """
    if isinstance(given, str | os.PathLike):
        raise ValueError(f"X is a single path: give a list of them, such as [{str(given)!r}]")
    if isinstance(given, list | tuple):
        cells = list(given)
    else:
        array = np.asarray(given)
        if array.dtype.kind not in "OUT" or array.ndim not in (1, 2) or array.size != len(array):
            return None
        cells = array.ravel().tolist()
    strange = [row for row, cell in enumerate(cells) if not isinstance(cell, str | os.PathLike)]
    if len(strange) == len(cells):
        return None
    if strange:
        raise ValueError(f"X holds paths, but its row {strange[0]} is {cells[strange[0]]!r}: give each picture a path")
    return [str(os.fspath(cell)) for cell in cells]


def as_range(given: Any) -> ValueRange | None:
    """Black and white as numbers. Raises `ValueError` for what is no pair of numbers that grow; None stays None."""
    if given is None:
        return None
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"value_range is a pair of numbers, black and the greater one for white, not {given!r}")
    return low, high


def as_pictures(values: NDArray[Any], value_range: ValueRange | None = None) -> NDArray[np.uint8]:
    """Uint8 RGB pictures, (pictures, height, width, 3), of numbers: grey, (pictures, height, width[, 1]), or RGB.

    `value_range` says which numbers are black and white. By default those are 0 and 255 for whole numbers, 0 and 1 for
    others. Raises `ValueError` for numbers outside it, and for another shape.
    """
    grey = values[..., None] if values.ndim == 3 else values
    if grey.ndim != 4 or grey.shape[3] not in (1, 3) or not grey.size:
        raise ValueError(
            f"X has the shape {values.shape}: pictures are (pictures, height, width) for grey ones, or "
            "(pictures, height, width, 3) for RGB"
        )
    scaled = _as_uint8(grey, value_range)
    return np.repeat(scaled, 3, axis=3) if scaled.shape[3] == 1 else scaled


def _as_uint8(values: NDArray[Any], value_range: ValueRange | None) -> NDArray[np.uint8]:
    """Numbers of any shape scaled from their range to 0..255."""
    if value_range is None and values.dtype == np.uint8:
        return values
    low, high = value_range or ((0, 255) if values.dtype.kind in "iu" else (0, 1))
    least, most = float(values.min()), float(values.max())
    slack = _ROUNDING * (high - low)
    if least < low - slack or most > high + slack:
        raise ValueError(
            f"X has values from {least:g} to {most:g}, beyond {low:g} for black or {high:g} for white: "
            "say by value_range which values are black and white"
        )
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
