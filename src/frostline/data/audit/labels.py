"""Suspect labels by confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.floating[Any]]
"""Out-of-fold probabilities, shape (pictures, classes): each row by a model that has not seen that picture."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture whose label is probably wrong."""

    index: int
    given: int
    """The class that its label says."""
    expected: int
    """The class that confident learning expects."""
    given_probability: float
    expected_probability: float


def find_suspects(probabilities: Probabilities, targets: NDArray[np.int64]) -> tuple[Suspect, ...]:
    """The pictures off the diagonal of the confident joint, the surest first.

    A picture is confidently of a class where the class's probability reaches its mean among the pictures that are
    labelled so; of several such classes, the likeliest counts. It is suspect where that is not the class of its label.
    """
    expected = _confident_classes(probabilities, targets)
    scores = doubt(probabilities, targets)
    suspect = np.flatnonzero((expected >= 0) & (expected != targets))
    ranked = suspect[np.argsort(-scores[suspect], kind="stable")]
    return tuple(
        Suspect(
            index=int(index),
            given=int(targets[index]),
            expected=int(expected[index]),
            given_probability=float(probabilities[index, targets[index]]),
            expected_probability=float(probabilities[index, expected[index]]),
        )
        for index in ranked
    )


def confident_joint(probabilities: Probabilities, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pictures by given class (rows) and confident class (columns), shape (classes, classes)."""
    expected = _confident_classes(probabilities, targets)
    joint = np.zeros((probabilities.shape[1],) * 2, dtype=np.int64)
    confident = expected >= 0
    np.add.at(joint, (targets[confident], expected[confident]), 1)
    return joint


def doubt(probabilities: Probabilities, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """How likely each label is wrong, from 0 to 1, shape (pictures,).

    By Bayes' rule from the probabilities of the true class and the noise of the labels, `label_noise`. With even noise
    the order is that of self-confidence.
    """
    likely = probabilities * label_noise(confident_joint(probabilities, targets))[targets]
    right: NDArray[np.float64] = likely[np.arange(len(targets)), targets] / likely.sum(axis=1)
    return 1 - right


def label_noise(joint: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each given class (rows) for a true class (columns), shape (classes, classes), from the joint.

    It is the mean of two estimates: what the confident joint says of each pair of classes, which finds classes that are
    mistaken for each other, and noise of the same rate that is even, which does not take hard pictures for noise.
    """
    classes = len(joint)
    rate = (joint.sum() - np.trace(joint) + 1) / (joint.sum() + 2)
    even = np.full((classes, classes), rate / max(classes - 1, 1))
    np.fill_diagonal(even, 1 - rate)
    confident = joint.sum(axis=0)
    estimated = np.where(confident > 0, joint / np.maximum(confident, 1), even)
    noise: NDArray[np.float64] = (estimated + even) / 2
    return noise


def _confident_classes(probabilities: Probabilities, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class that each picture is confidently of, or -1 for none, shape (pictures,)."""
    confident = np.where(probabilities >= _thresholds(probabilities, targets), probabilities, -1.0)
    return np.where(confident.max(1) >= 0, confident.argmax(1), -1)


def _thresholds(probabilities: Probabilities, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean probability of each class among the pictures that are labelled so; infinite where there are none."""
    classes = probabilities.shape[1]
    given = probabilities[np.arange(len(targets)), targets]
    counts = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, weights=given, minlength=classes)
    thresholds: NDArray[np.float64] = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    return thresholds
