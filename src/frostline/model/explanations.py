"""Explanations of picture files, written as pictures: what the network sees, and the same with its heat on it."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from frostline.data.dataset import Picture
from frostline.data.decode import UnreadablePictureError
from frostline.errors import ConfigError, did_you_mean
from frostline.files import atomic_write
from frostline.model.explain import EXPLAINED_AT_ONCE, Explainer, enlarge, overlay
from frostline.model.network_classifier import NetworkClassifier

_SIDE = 320
"""Least side, in pixels, of each of the two pictures that are written."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One picture that was explained."""

    path: str
    class_name: str
    """The class that the heat speaks for."""
    probability: float
    """Of that class."""
    file: Path
    """The picture with its overlay to the right of it."""


def explain_files(
    classifier: NetworkClassifier, paths: Iterable[Path], folder: Path, class_name: str | None = None
) -> Iterator[Explanation | UnreadablePictureError]:
    """Write what speaks for a class in each picture to `folder`: by default for the picture's most probable class.

    The files are named `<stem>.png`, or `<stem>-2.png` and so on where that is taken. Results come in the order given;
    an unreadable picture gives its error. Raises `ConfigError` for a class that the classifier does not know, and
    `ModelError` where its network cannot be explained.
    """
    target = None if class_name is None else _index_of(class_name, classifier.class_names)
    explainer = Explainer(classifier)
    folder.mkdir(parents=True, exist_ok=True)

    remaining = iter(paths)
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(remaining, EXPLAINED_AT_ONCE)):
            found = list(pool.map(classifier.fit_or_error, batch))
            squares = [item for item in found if isinstance(item, np.ndarray)]
            predictions = classifier.predict(squares)
            targets = [int(row.probabilities.argmax()) if target is None else target for row in predictions]
            explained = zip(squares, predictions, targets, explainer(squares, targets), strict=True)
            for path, item in zip(batch, found, strict=True):
                if isinstance(item, UnreadablePictureError):
                    yield item
                    continue
                square, prediction, index, heat = next(explained)
                file = _write(square, overlay(square, heat, max(_SIDE, len(square))), folder, path.stem)
                probability = float(prediction.probabilities[index])
                yield Explanation(str(path), classifier.class_names[index], probability, file)


def _index_of(name: str, class_names: Sequence[str]) -> int:
    if name not in class_names:
        hint = did_you_mean(name, class_names) or f"; its classes are {', '.join(class_names)}"
        raise ConfigError(f"the classifier does not know the class {name!r}{hint}")
    return class_names.index(name)


def _write(square: Picture, shown: Picture, folder: Path, stem: str) -> Path:
    """Save a picture and its overlay side by side, under a name that nothing has yet."""
    file = _claim(folder, stem)
    with atomic_write(file, "wb") as stream:
        Image.fromarray(np.hstack([enlarge(square, len(shown)), shown])).save(stream, "png")
    return file


def _claim(folder: Path, stem: str) -> Path:
    """An empty file of a new name, which no other process can take then."""
    file, number = folder / f"{stem}.png", 1
    while True:
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            file = folder / f"{stem}-{number}.png"
        else:
            return file
