"""The pictures on which runs disagree: where their answers differ, and who is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.results.predictions import Predictions

SHOWN = 20
"""Pictures of each kind that are shown."""

Kind = Literal["lost", "won", "wrong"]
"""The first run is right and another is wrong; the first is wrong and another is right; all are wrong."""


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What one run says of a picture."""

    class_name: str
    confidence: float
    right: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A picture about which the runs do not say the same."""

    row: int
    """Its place among the common pictures."""
    path: str
    true: str
    answers: tuple[RunAnswer, ...]
    """Of each run."""


@dataclass(frozen=True, slots=True)
class Disagreements:
    """All of one kind, and some to look at."""

    kind: Kind
    found: int
    shown: tuple[Disagreement, ...]
    """Those with the surest wrong answers, surest first."""


def find_disagreements(predictions: Sequence[Predictions], limit: int = SHOWN) -> tuple[Disagreements, ...]:
    """Sort the pictures about which runs disagree into kinds; `predictions` are of the same pictures and classes."""
    labels = np.stack([each.labels for each in predictions])
    confidences = np.stack([each.confidences for each in predictions])
    right = labels == predictions[0].targets
    differ = (labels != labels[0]).any(axis=0)
    surest_mistake = np.where(right, 0, confidences).max(axis=0)
    kinds: dict[Kind, NDArray[np.bool_]] = {
        "lost": right[0] & differ,
        "won": ~right[0] & right.any(axis=0),
        "wrong": ~right.any(axis=0) & differ,
    }
    found = []
    for kind, chosen in kinds.items():
        rows = np.flatnonzero(chosen)
        ordered = rows[np.argsort(-surest_mistake[rows], kind="stable")]
        shown = tuple(_describe(predictions, int(row)) for row in ordered[:limit])
        found.append(Disagreements(kind, len(rows), shown))
    return tuple(found)


def _describe(predictions: Sequence[Predictions], row: int) -> Disagreement:
    names, target = predictions[0].class_names, int(predictions[0].targets[row])
    answers = []
    for each in predictions:
        label = int(each.probabilities[row].argmax())
        answers.append(RunAnswer(names[label], float(each.probabilities[row, label]), label == target))
    return Disagreement(row, predictions[0].paths[row], names[target], tuple(answers))
