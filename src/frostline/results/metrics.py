"""Figures that say how good a set of predictions is."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from frostline.data.audit.classes import LARGE_RATIO
from frostline.data.dataset import SplitName
from frostline.errors import DataError
from frostline.results.predictions import Predictions


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """How one class fares; a figure whose denominator is zero is 0."""

    name: str
    precision: float
    precision_low: float
    """Lower end of its 95% interval (Wilson, 1927)."""
    precision_high: float
    recall: float
    recall_low: float
    recall_high: float
    f1: float
    support: int
    """Pictures of this class in the split."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """One kind of mistake: pictures of class `true` that were taken for class `predicted`."""

    true: str
    predicted: str
    count: int
    share: float
    """Of all pictures of class `true`, as a fraction."""


@dataclass(frozen=True)
class Metrics:
    """Quality of one split's predictions; accuracies and F1 are fractions."""

    split: SplitName | Literal["all"]
    """What was measured: one split, or all the pictures of a source."""
    pictures: int
    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    accuracy_low: float
    """Lower end of the accuracy's 95% interval (Wilson, 1927)."""
    accuracy_high: float
    top5_accuracy: float | None
    """None with 5 classes or fewer."""
    macro_f1: float
    """Mean F1 over the classes that have pictures in the split."""
    balanced_accuracy: float
    """Mean recall over the classes that have pictures in the split."""
    per_class: tuple[ClassMetrics, ...]
    """In the order of the class indices."""
    confusion_matrix: tuple[tuple[int, ...], ...]
    """Counts of pictures, shape (true classes, predicted classes)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their indices."""
        return tuple(entry.name for entry in self.per_class)

    @property
    def imbalanced(self) -> bool:
        """Whether the largest class has over `LARGE_RATIO` times the pictures of the smallest: accuracy misleads."""
        counts = [entry.support for entry in self.per_class if entry.support]
        return max(counts) > LARGE_RATIO * min(counts)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return asdict(self)

    def largest_confusions(self, limit: int) -> list[Confusion]:
        """The most frequent kinds of mistake, most frequent first, `limit` at most."""
        counts = np.array(self.confusion_matrix, dtype=np.int64)
        support = counts.sum(axis=1)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[:limit]
        cells = zip(*np.unravel_index(order, counts.shape), strict=True)
        names = self.class_names
        return [
            Confusion(names[true], names[predicted], int(count), float(count / support[true]))
            for true, predicted in cells
            if (count := counts[true, predicted])
        ]


def compute_metrics(predictions: Predictions, split: SplitName | Literal["all"]) -> Metrics:
    """Measure the predictions of one split, or of all the pictures of a source.

    Raises `DataError` where there is no picture to measure.
    """
    targets, labels = predictions.targets, predictions.labels
    if not len(predictions):
        raise DataError(f"the {split} split has no pictures, so nothing can be measured on it; give it some")
    correct = int((labels == targets).sum())
    low, high = accuracy_interval(correct, len(predictions))
    classes = np.arange(len(predictions.class_names))
    per_class = tuple(_measure_classes(predictions))
    present = [entry for entry in per_class if entry.support]
    return Metrics(
        split=split,
        pictures=len(predictions),
        loss=float(cross_entropies(predictions).mean()),
        accuracy=correct / len(predictions),
        accuracy_low=low,
        accuracy_high=high,
        top5_accuracy=_top5_accuracy(targets, predictions.probabilities),
        macro_f1=float(np.mean([entry.f1 for entry in present])),
        balanced_accuracy=float(np.mean([entry.recall for entry in present])),
        per_class=per_class,
        confusion_matrix=tuple(tuple(map(int, row)) for row in confusion_matrix(targets, labels, labels=classes)),
    )


def _measure_classes(predictions: Predictions) -> Iterator[ClassMetrics]:
    """The figures of every class, in their order."""
    targets, labels = predictions.targets, predictions.labels
    classes = np.arange(len(predictions.class_names))
    precision, recall, f1, support = precision_recall_fscore_support(targets, labels, labels=classes, zero_division=0)
    right = np.bincount(targets[labels == targets], minlength=len(classes))
    answered = np.bincount(labels, minlength=len(classes))
    for index, name in enumerate(predictions.class_names):
        yield ClassMetrics(
            name,
            float(precision[index]),
            *_interval(right[index], answered[index]),
            float(recall[index]),
            *_interval(right[index], support[index]),
            float(f1[index]),
            int(support[index]),
        )


def _interval(right: int, pictures: int) -> tuple[float, float]:
    """The interval of a share; of no pictures nothing is known."""
    return accuracy_interval(int(right), int(pictures)) if pictures else (0.0, 1.0)


def accuracy_interval(right: int, pictures: int) -> tuple[float, float]:
    """The 95% interval of an accuracy, as two fractions (Wilson, 1927)."""
    interval = binomtest(right, pictures).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def cross_entropies(predictions: Predictions) -> NDArray[np.float64]:
    """-log of each true class's probability, which counts as the smallest normal float32 where it is 0, in nats.

    Shape (pictures,).
    """
    true = predictions.probabilities[np.arange(len(predictions)), predictions.targets].astype(np.float64)
    losses: NDArray[np.float64] = np.log(1 / np.maximum(true, np.finfo(np.float32).tiny))
    return losses


def _top5_accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float | None:
    """Share of pictures whose true class is among the five most probable."""
    classes = probabilities.shape[1]
    if classes <= 5:
        return None
    return float(top_k_accuracy_score(targets, probabilities, k=5, labels=np.arange(classes)))
