"""The pictures that several runs have in common, by path, with their classes in one order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from frostline.data.dataset import SplitName
from frostline.errors import DataError
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord
from frostline.results.selection import Rows


class Headline(NamedTuple):
    """The predictions that a run's figures are of."""

    split: SplitName
    predictions: Predictions


def headline_of(record: RunRecord) -> Headline:
    """The predictions that a run's figures are of. Raises `DataError` where they are not there."""
    for split, predictions in record.predictions.items():
        if predictions is record.headline:
            return Headline(split, predictions)
    where = record.folder.path
    if not record.folder.metrics.exists():
        raise DataError(f"{where} is not finished: go on with frostline train --resume {where}")
    raise DataError(f"{where} has no predictions to compare: {'; '.join(record.missing)}")


def common_rows(headlines: Sequence[Headline], records: Sequence[RunRecord]) -> list[Rows]:
    """The pictures that all runs have, in the order of the first run, as rows of the predictions of each.

    Raises `DataError` where there is none.
    """
    places = [{path: row for row, path in enumerate(each.predictions.paths)} for each in headlines]
    common = [path for path in headlines[0].predictions.paths if all(path in place for place in places)]
    if not common:
        first = records[0].folder
        others = ", ".join(str(record.folder.path) for record in records[1:])
        raise DataError(
            f"{first.path} and {others} have no picture in common: train on the same pictures with "
            f"--splits {first.splits}"
        )
    return [np.array([place[path] for path in common], dtype=np.int64) for place in places]


def align(predictions: Sequence[Predictions], names: Sequence[str]) -> list[Predictions]:
    """The predictions of the same pictures by several runs, with the classes in the order of the first run's.

    `names` are those of the runs. Raises `DataError` where runs do not agree about the classes or a picture's class.
    """
    first = predictions[0]
    aligned = [first]
    for name, other in zip(names[1:], predictions[1:], strict=True):
        _require_same_classes(first, other, names[0], name)
        order = np.array([other.class_names.index(each) for each in first.class_names])
        targets = np.argsort(order)[other.targets]
        wrong = np.flatnonzero(targets != first.targets)
        if len(wrong):
            row = wrong[0]
            raise DataError(
                f"{names[0]} takes {first.paths[row]} for {first.class_names[first.targets[row]]!r}, {name} for "
                f"{first.class_names[targets[row]]!r}: compare runs that were given the same labels"
            )
        aligned.append(Predictions(first.paths, targets, other.probabilities[:, order], first.class_names))
    return aligned


def _require_same_classes(first: Predictions, other: Predictions, first_name: str, other_name: str) -> None:
    for known, known_by, names, name in (
        (first.class_names, first_name, other.class_names, other_name),
        (other.class_names, other_name, first.class_names, first_name),
    ):
        absent = [each for each in known if each not in set(names)]
        if absent:
            raise DataError(
                f"{name} does not have the class {absent[0]!r} of {known_by}: compare runs with the same classes"
            )
