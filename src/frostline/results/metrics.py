"""Figures that say how good a set of predictions is."""

from collections.abc import Mapping
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
    recall: float
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
        """Everything as JSON can hold it; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Metrics":
        """Build the metrics again out of what `to_dict` gave, be it through JSON."""
        nested = {
            "per_class": tuple(ClassMetrics(**entry) for entry in values["per_class"]),
            "confusion_matrix": tuple(tuple(row) for row in values["confusion_matrix"]),
        }
        return cls(**{**values, **nested})

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
    interval = binomtest(correct, len(predictions)).proportion_ci(confidence_level=0.95, method="wilson")
    classes = np.arange(len(predictions.class_names))
    precision, recall, f1, support = precision_recall_fscore_support(targets, labels, labels=classes, zero_division=0)
    present = support > 0
    return Metrics(
        split=split,
        pictures=len(predictions),
        loss=_cross_entropy(targets, predictions.probabilities),
        accuracy=correct / len(predictions),
        accuracy_low=float(interval.low),
        accuracy_high=float(interval.high),
        top5_accuracy=_top5_accuracy(targets, predictions.probabilities),
        macro_f1=float(f1[present].mean()),
        balanced_accuracy=float(recall[present].mean()),
        per_class=tuple(
            ClassMetrics(name, float(class_precision), float(class_recall), float(class_f1), int(pictures))
            for name, class_precision, class_recall, class_f1, pictures in zip(
                predictions.class_names, precision, recall, f1, support, strict=True
            )
        ),
        confusion_matrix=tuple(tuple(map(int, row)) for row in confusion_matrix(targets, labels, labels=classes)),
    )


def _cross_entropy(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Mean of -log of each true class's probability, which counts as the smallest normal float32 where it is 0."""
    true = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(np.log(1 / np.maximum(true, np.finfo(np.float32).tiny)).mean())


def _top5_accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float | None:
    """Share of pictures whose true class is among the five most probable."""
    classes = probabilities.shape[1]
    if classes <= 5:
        return None
    return float(top_k_accuracy_score(targets, probabilities, k=5, labels=np.arange(classes)))
