"""Few pictures of each class, drawn at random, as a folder that every tool reads."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.dataset import Dataset

Indices = NDArray[np.int64]


def draw(dataset: Dataset, pool: Indices, shots: int, seed: int) -> Indices:
    """So many pictures of each class, or all where there are fewer. A smaller draw of a seed lies within a larger."""
    shuffled = np.random.default_rng(seed).permutation(pool)
    classes = (shuffled[dataset.targets[shuffled] == target] for target in range(len(dataset.class_names)))
    return np.sort(np.concatenate([members[:shots] for members in classes]))


def parts(dataset: Dataset) -> tuple[Indices, Indices]:
    """The pictures to draw from, and those to test on: the source's test split, or the one that it calls validation."""
    splits = np.array([sample.split or "train" for sample in dataset.samples])
    return np.flatnonzero(splits == "train"), np.flatnonzero(splits == ("test" if "test" in splits else "val"))


def write_folder(dataset: Dataset, train: Indices, test: Indices, folder: Path) -> None:
    """Write the pictures, without loss, to `train` and `test` with a folder for each class."""
    for split, indices in (("train", train), ("test", test)):
        for index in indices.tolist():
            path = folder / split / dataset.class_names[dataset.samples[index].target] / f"{index:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(dataset.picture(index)).save(path)
