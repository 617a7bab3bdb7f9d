"""Which pictures of a run are worth a look, as rows of its predictions."""

from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from frostline.results.predictions import Predictions

Rows = NDArray[np.int64]

MISTAKES = 24
"""The most confident mistakes that are shown."""

HARD = 12
"""The least sure right answers that are shown, and the pictures furthest from the training pictures."""

_MOST = 1000
"""Pictures of the cells of the confusion matrix that are kept."""


def confident_mistakes(predictions: Predictions, limit: int = MISTAKES) -> Rows:
    """The wrong answers of highest confidence, surest first."""
    wrong = np.flatnonzero(predictions.labels != predictions.targets)
    return wrong[np.argsort(-predictions.confidences[wrong], kind="stable")][:limit]


def unsure_hits(predictions: Predictions, limit: int = HARD) -> Rows:
    """The right answers of lowest confidence, least sure first."""
    right = np.flatnonzero(predictions.labels == predictions.targets)
    return right[np.argsort(predictions.confidences[right], kind="stable")][:limit]


def furthest(predictions: Predictions, limit: int = HARD) -> Rows:
    """The pictures that are furthest from the training pictures, furthest first; none where nobody measured."""
    if predictions.distances is None:
        return np.empty(0, dtype=np.int64)
    return np.argsort(-predictions.distances, kind="stable")[:limit]


def of_cells(predictions: Predictions, limit: int = _MOST) -> dict[tuple[int, int], Rows]:
    """Pictures of each cell (true class, predicted class) of the confusion matrix that has any, `limit` in all.

    Every cell has one before any has two; cells off the diagonal go first. Mistakes come surest first, right answers
    least sure first.
    """
    labels, targets = predictions.labels, predictions.targets
    sign = np.where(labels == targets, 1, -1)
    order = np.lexsort((sign * predictions.confidences, labels, targets, labels == targets))
    cells = np.split(order, np.flatnonzero(np.diff(labels[order]) | np.diff(targets[order])) + 1)
    rounds = (row for place in zip_longest(*cells) for row in place if row is not None)
    kept = {int(row) for _, row in zip(range(limit), rounds, strict=False)}
    return {
        (int(targets[cell[0]]), int(labels[cell[0]])): shown
        for cell in cells
        if len(cell) and len(shown := np.array([row for row in cell.tolist() if row in kept], dtype=np.int64))
    }


def all_shown(predictions: Predictions) -> Rows:
    """Every row that a report shows, in the order of the predictions."""
    cells = of_cells(predictions).values()
    rows = (confident_mistakes(predictions), unsure_hits(predictions), furthest(predictions), *cells)
    return np.unique(np.concatenate(rows))
