"""The confusion matrix as a part of a page, in which a click on a cell shows its pictures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from frostline.results.predictions import Predictions
from frostline.results.selection import of_cells
from frostline.results.thumbnails import Thumbnails

MOST_CLASSES_WITH_COUNTS = 30
"""With more classes, cells are coloured squares without a number."""

_EMBEDDED_BYTES = 6_000_000
"""Of pictures that the cells may hold on the page."""

_LARGEST = 40
"""Kinds of mistake that are listed beside a matrix without numbers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The pictures of one true class that got one answer."""

    true: int
    answer: int
    count: int
    share: float
    """Of the true class."""

    @property
    def name(self) -> str:
        """As the page's script calls it."""
        return f"{self.true},{self.answer}"

    @property
    def strength(self) -> float:
        """Of its colour: the square root of its share, so that 2% are seen beside 95%."""
        return math.sqrt(self.share)


@dataclass(frozen=True)
class Matrix:
    """What the page needs to draw the matrix."""

    class_names: tuple[str, ...]
    cells: Mapping[tuple[int, int], Cell]
    """Those that have pictures."""
    data: Mapping[str, Any]
    """For the script: names, cells with their rows, pictures by row."""

    @classmethod
    def of(cls, predictions: Predictions, thumbnails: Thumbnails) -> "Matrix":
        """The matrix of predictions, with as many of the kept thumbnails as fit on a page."""
        classes = len(predictions.class_names)
        places = predictions.targets * classes + predictions.labels
        support = np.bincount(predictions.targets, minlength=classes)
        filled, counts = np.unique(places, return_counts=True)
        cells = {
            (true, answer): Cell(true, answer, count, count / int(support[true]))
            for (true, answer), count in zip(
                (divmod(place, classes) for place in filled.tolist()), counts.tolist(), strict=True
            )
        }
        return cls(predictions.class_names, cells, _data(predictions, cells, thumbnails))

    @property
    def with_counts(self) -> bool:
        """Whether the classes are few enough to write numbers into the cells."""
        return len(self.class_names) <= MOST_CLASSES_WITH_COUNTS

    @property
    def mistakes(self) -> list[Cell]:
        """The largest cells off the diagonal, largest first."""
        wrong = [cell for cell in self.cells.values() if cell.true != cell.answer]
        return sorted(wrong, key=lambda cell: -cell.count)[:_LARGEST]


def _data(predictions: Predictions, cells: Mapping[tuple[int, int], Cell], thumbnails: Thumbnails) -> dict[str, Any]:
    shown = of_cells(predictions)
    size = sum(len(thumbnails.jpegs.get(str(row), b"")) for rows in shown.values() for row in rows)
    if size * 4 / 3 > _EMBEDDED_BYTES:
        pictures = sum(map(len, shown.values()))
        shown = of_cells(predictions, int(pictures * _EMBEDDED_BYTES / (size * 4 / 3)))
    rows = [int(row) for of_cell in shown.values() for row in of_cell]
    return {
        "names": list(predictions.class_names),
        "cells": {
            cell.name: {"count": cell.count, "rows": shown[place].tolist() if place in shown else []}
            for place, cell in cells.items()
        },
        "info": {str(row): [predictions.paths[row], f"{predictions.confidences[row]:.1%}"] for row in rows},
        "pictures": {str(row): thumbnails.uri(str(row)) for row in rows},
    }
