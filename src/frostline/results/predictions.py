"""What a classifier says about every picture of a split, next to what each picture shows."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.errors import DataError
from frostline.files import atomic_write

_COLUMNS = ("path", "target", "predicted", "confidence", "distance")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of a set of pictures whose true classes are known."""

    paths: tuple[str, ...]
    """`Sample.path` of every picture."""
    targets: NDArray[np.int64]
    """True classes as indices into `class_names`, shape (pictures,)."""
    probabilities: NDArray[np.float32]
    """Shape (pictures, classes); every row sums to one."""
    class_names: tuple[str, ...]
    distances: NDArray[np.float32] | None = None
    """How far each picture is from the training pictures, shape (pictures,); None where nobody measured."""

    def __post_init__(self) -> None:
        pictures, classes = len(self.paths), len(self.class_names)
        if self.targets.shape != (pictures,) or self.probabilities.shape != (pictures, classes):
            raise ValueError(
                f"{pictures} paths and {classes} class names do not fit targets of shape {self.targets.shape} "
                f"and probabilities of shape {self.probabilities.shape}"
            )

        if self.distances is not None and self.distances.shape != (pictures,):
            raise ValueError(f"distances of shape {self.distances.shape} do not fit {pictures} pictures")

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Most probable class of every picture (the first of equals), shape (pictures,)."""
        labels: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return labels

    @property
    def confidences(self) -> NDArray[np.float32]:
        """Probability of the most probable class of every picture, shape (pictures,)."""
        confidences: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidences

    def with_probabilities(self, probabilities: NDArray[np.float32]) -> "Predictions":
        """The same pictures with other probabilities, shape (pictures, classes)."""
        return replace(self, probabilities=probabilities)

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """Some of the pictures, in this order."""
        distances = None if self.distances is None else self.distances[rows]
        paths = tuple(self.paths[row] for row in rows)
        return Predictions(paths, self.targets[rows], self.probabilities[rows], self.class_names, distances)


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """The pictures of several predictions with the same classes, one part after the other."""
    distances = [part.distances for part in parts if part.distances is not None]
    return Predictions(
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        parts[0].class_names,
        np.concatenate(distances) if len(distances) == len(parts) else None,
    )


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write one row a picture as CSV: its path, its true and predicted class by name, and every probability.

    Numbers are written with as few digits as give back the same float32, so nothing is lost. The distance is empty
    where nobody measured it.
    """
    names = predictions.class_names
    distances = [""] * len(predictions) if predictions.distances is None else predictions.distances
    rows = zip(
        predictions.paths,
        predictions.targets,
        predictions.labels,
        predictions.confidences,
        distances,
        predictions.probabilities,
        strict=True,
    )
    with atomic_write(path) as file:
        # Quoting every text keeps even a carriage return in a file name.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(f"p({name})" for name in names)])
        writer.writerows(
            [picture, names[target], names[label], confidence, distance, *row]
            for picture, target, label, confidence, distance, row in rows
        )


def load_predictions(path: Path) -> Predictions:
    """Read what `save_predictions` wrote; the predicted class and its confidence come from the probabilities.

    Raises `DataError` for a file that is not such a table, naming the line.
    """
    paths: list[str] = []
    targets: list[int] = []
    distances: list[np.float32] = []
    probabilities: list[NDArray[np.float32]] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        try:
            class_names = _read_header(next(reader, []))
            indices = {name: index for index, name in enumerate(class_names)}
            for row in reader:
                picture, target, _, _, distance, *numbers = row
                paths.append(picture)
                targets.append(indices[target])
                probabilities.append(_read_probabilities(numbers, len(class_names)))
                if distance:
                    distances.append(np.float32(distance))
                if len(distances) not in (0, len(paths)):
                    raise ValueError("some pictures have a distance and others have none")
        except (ValueError, KeyError, csv.Error) as error:
            line = max(reader.line_num, 1)
            raise DataError(f"{path}, line {line}: not a table of predictions ({error}); evaluate again") from error
    return Predictions(
        tuple(paths),
        np.array(targets, dtype=np.int64),
        np.array(probabilities, dtype=np.float32).reshape(len(paths), len(class_names)),
        class_names,
        np.array(distances) if distances else None,
    )


def _read_header(header: Sequence[str]) -> tuple[str, ...]:
    """Class names out of the names of the columns; raises `ValueError` where there are none."""
    columns = header[len(_COLUMNS) :]
    named = [name for name in columns if name.startswith("p(") and name.endswith(")")]
    if tuple(header[: len(_COLUMNS)]) != _COLUMNS or not columns or len(named) < len(columns):
        raise ValueError(f"its columns should be {', '.join(_COLUMNS)}, p(CLASS) of every class")
    return tuple(name[2:-1] for name in columns)


def _read_probabilities(numbers: Sequence[str], classes: int) -> NDArray[np.float32]:
    """One row of probabilities, shape (classes,); raises `ValueError` where it is not one."""
    if len(numbers) != classes:
        raise ValueError(f"{len(numbers)} probabilities for {classes} classes")
    row = np.array(numbers, dtype=np.float32)
    if not (row >= 0).all() or not (row <= 1).all():
        raise ValueError("a probability is not between 0 and 1")
    return row
