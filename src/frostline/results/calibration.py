"""Whether probabilities can be trusted: their temperature, their error, and thresholds below which to be unsure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.results.predictions import Predictions

BINS = 15
"""Bins of equal width over the confidences, as in Guo et al. 2017."""

ANSWER_NOTHING = 1.1
"""A threshold that no confidence reaches."""

_PRIOR_DEVIATION = 0.5
"""Of the logarithm of the temperature, and of the power. It counts where pictures are few: without it, the best fit to
some that are all right would be certainty."""

_MOST_POWER = 2.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """How logits are scaled before they become probabilities; it changes no picture's most probable class.

    They are divided by a temperature (Guo et al. 2017, arXiv:1706.04599) that grows with the size of the picture's own
    logits: `temperature` * (size / `typical_size`) ** `power`, the size being the mean absolute value of the logits,
    their mean taken off. Power 0 is plain temperature scaling, power 1 normalises the logits (Cattelan & Silva 2023,
    arXiv:2305.15508), which mends what label smoothing does to confidences (Xia et al. 2024, arXiv:2403.14715).
    """

    temperature: float = 1.0
    power: float = 0.0
    typical_size: float = 1.0

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Class probabilities of logits, both (pictures, classes)."""
        from scipy.special import softmax

        probabilities: NDArray[np.float32] = softmax(self._apply(_centred(logits)), axis=1).astype(np.float32)
        return probabilities

    def _apply(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        own = self.temperature * (_sizes(centred) / self.typical_size) ** self.power
        scaled: NDArray[np.float64] = centred / own[:, np.newaxis]
        return scaled

    @classmethod
    def fit(cls, logits: NDArray[np.floating], targets: NDArray[np.int64]) -> "Scaling":
        """The scaling that fits logits, (pictures, classes), of pictures that were not trained on, to their targets.

        It maximises the likelihood times a prior about temperature 1 and power 0, which hundreds of pictures outweigh.
        """
        from scipy.optimize import minimize
        from scipy.special import log_softmax

        centred, rows = _centred(logits), np.arange(len(targets))
        typical_size = float(np.exp(np.log(_sizes(centred)).mean()))

        def cost(parameters: NDArray[np.float64]) -> float:
            scaled = cls(float(np.exp(parameters[0])), float(parameters[1]), typical_size)._apply(centred)
            prior = 0.5 * ((parameters / _PRIOR_DEVIATION) ** 2).sum()
            return float(prior - log_softmax(scaled, axis=1)[rows, targets].sum())

        # Of two classes, a power above 1 would make the larger margin the less certain one.
        most = 1.0 if logits.shape[1] == 2 else _MOST_POWER
        found = minimize(cost, [0.0, 0.0], method="L-BFGS-B", bounds=[(-4, 4), (0, most)]).x
        return cls(float(np.exp(found[0])), float(found[1]), typical_size)


def _centred(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    exact = logits.astype(np.float64)
    centred: NDArray[np.float64] = exact - exact.mean(axis=1, keepdims=True)
    return centred


def _sizes(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes: NDArray[np.float64] = np.maximum(np.abs(centred).mean(axis=1), np.finfo(np.float32).tiny)
    return sizes


@dataclass(frozen=True, slots=True)
class Bin:
    """The pictures whose confidence lies between `low` and `high`; means are 0 where there are none."""

    low: float
    high: float
    pictures: int
    confidence: float
    """Mean."""
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidences are from the share that is right."""

    error: float
    """Expected calibration error: the mean distance of confidence and accuracy over `BINS` bins, weighed by pictures
    (Naeini et al. 2015; Guo et al. 2017)."""
    brier: float
    """Mean squared distance of the probabilities to the truth, summed over the classes, 0 to 2 (Brier 1950)."""
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What becomes of a set of pictures where those of lower confidence than `threshold` are left unsure."""

    threshold: float
    pictures: int
    """That are answered."""
    coverage: float
    """Share of the pictures that is answered."""
    accuracy: float | None
    """Of those that are answered; None where none is."""

    def describe(self, pictures: str) -> str:
        """In words: which share of `pictures` is answered, and how many of those are right."""
        right = "" if self.accuracy is None else f", {self.accuracy:.2%} of them right"
        return f"{self.coverage:.1%} of the {pictures} answered{right}"


def reliability(predictions: Predictions) -> tuple[Bin, ...]:
    """Confidence against accuracy, in `BINS` bins of equal width from 0 to 1."""
    confidences = predictions.confidences.astype(np.float64)
    right = predictions.labels == predictions.targets
    bins = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = np.maximum(counts, 1)
    mean = np.bincount(bins, confidences, BINS) / filled
    accuracy = np.bincount(bins, right, BINS) / filled
    return tuple(
        Bin(place / BINS, (place + 1) / BINS, int(counts[place]), float(mean[place]), float(accuracy[place]))
        for place in range(BINS)
    )


def measure_calibration(predictions: Predictions) -> Calibration:
    """Expected calibration error and Brier score of predictions."""
    bins = reliability(predictions)
    error = sum(each.pictures * abs(each.confidence - each.accuracy) for each in bins)
    truth = np.zeros_like(predictions.probabilities, dtype=np.float64)
    truth[np.arange(len(predictions)), predictions.targets] = 1
    brier = ((predictions.probabilities - truth) ** 2).sum(axis=1).mean()
    return Calibration(error / len(predictions), float(brier), bins)


def measure_answered(predictions: Predictions, threshold: float) -> Answered:
    """How many pictures are answered at a threshold, and how many of those are right."""
    answered = predictions.confidences >= threshold
    count = int(answered.sum())
    right = int((predictions.labels == predictions.targets)[answered].sum())
    return Answered(threshold, count, count / len(predictions), right / count if count else None)


def coverage_curve(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Coverage, accuracy of the answered pictures, and the threshold for it, from the surest picture to all of them.

    One entry for each distinct confidence, shape (thresholds,) each.
    """
    order = np.argsort(-predictions.confidences, kind="stable")
    confidences = predictions.confidences[order]
    right = (predictions.labels == predictions.targets)[order].cumsum()
    ends = np.flatnonzero(np.append(confidences[1:] < confidences[:-1], True))
    answered = ends + 1
    return answered / len(predictions), right[ends] / answered, confidences[ends]


def threshold_for_accuracy(predictions: Predictions, accuracy: float) -> float:
    """The threshold that answers most of these pictures while the answered ones reach an accuracy.

    `ANSWER_NOTHING` where no threshold does.
    """
    _, reached, thresholds = coverage_curve(predictions)
    enough = np.flatnonzero(reached >= accuracy)
    return float(thresholds[enough[-1]]) if len(enough) else ANSWER_NOTHING


def threshold_for_coverage(predictions: Predictions, coverage: float) -> float:
    """The highest threshold that answers at least this share of these pictures."""
    covered, _, thresholds = coverage_curve(predictions)
    return float(thresholds[np.flatnonzero(covered >= coverage - 1e-9)[0]])
