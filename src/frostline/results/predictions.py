"""What a classifier says about every picture of a split, next to what each picture shows."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.errors import DataError
from frostline.files import atomic_write

_COLUMNS = ("path", "target", "predicted", "confidence")


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

    def __post_init__(self) -> None:
        pictures, classes = len(self.paths), len(self.class_names)
        if self.targets.shape != (pictures,) or self.probabilities.shape != (pictures, classes):
            raise ValueError(
                f"{pictures} paths and {classes} class names do not fit targets of shape {self.targets.shape} "
                f"and probabilities of shape {self.probabilities.shape}"
            )

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


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Write one row a picture as CSV: its path, its true and predicted class by name, and every probability.

    Probabilities are written with as few digits as give back the same float32, so nothing is lost.
    """
    names = predictions.class_names
    rows = zip(
        predictions.paths,
        predictions.targets,
        predictions.labels,
        predictions.confidences,
        predictions.probabilities,
        strict=True,
    )
    with atomic_write(path) as file:
        # Quoting every text keeps even a carriage return in a file name.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(f"p({name})" for name in names)])
        writer.writerows(
            [picture, names[target], names[label], confidence, *row] for picture, target, label, confidence, row in rows
        )


def load_predictions(path: Path) -> Predictions:
    """Read what `save_predictions` wrote; the predicted class and its confidence come from the probabilities.

    Raises `DataError` for a file that is not such a table, naming the line.
    """
    paths: list[str] = []
    targets: list[int] = []
    probabilities: list[NDArray[np.float32]] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        try:
            class_names = _read_header(next(reader, []))
            indices = {name: index for index, name in enumerate(class_names)}
            for row in reader:
                picture, target, _, _, *numbers = row
                paths.append(picture)
                targets.append(indices[target])
                probabilities.append(_read_probabilities(numbers, len(class_names)))
        except (ValueError, KeyError, csv.Error) as error:
            line = max(reader.line_num, 1)
            raise DataError(f"{path}, line {line}: not a table of predictions ({error}); evaluate again") from error
    return Predictions(
        tuple(paths),
        np.array(targets, dtype=np.int64),
        np.array(probabilities, dtype=np.float32).reshape(len(paths), len(class_names)),
        class_names,
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
