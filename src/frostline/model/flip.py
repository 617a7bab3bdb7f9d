"""Flip test-time augmentation: a picture is answered together with its mirror image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Picture
from frostline.model.classifier import Answering, Answers, ImageClassifier


class _Around(ImageClassifier):
    """A classifier that shows another one its pictures in its own way.

    Classes, distances and thresholds are those of the other one.
    """

    def __init__(self, classifier: ImageClassifier) -> None:
        self._classifier = classifier
        self.class_names = classifier.class_names
        self.preprocessing = classifier.preprocessing

    @property
    def unsure_below(self) -> float | None:
        """See `ImageClassifier`."""
        return self._classifier.unsure_below

    @property
    def far_beyond(self) -> float | None:
        """See `ImageClassifier`."""
        return self._classifier.far_beyond


class Mirrored(_Around):
    """A classifier that sees the mirror image of each picture."""

    def answering(self, expected: int = 0) -> Answering:
        """See `ImageClassifier`."""
        answer = self._classifier.answering(expected)
        return lambda squares: answer(_mirror(squares))


class FlipAveraged(_Around):
    """A classifier whose probabilities are the mean of those of each picture and of its mirror image.

    That takes twice the time. Distances are those of the picture itself.
    """

    def answering(self, expected: int = 0) -> Answering:
        """See `ImageClassifier`."""
        answer = self._classifier.answering(2 * expected)

        def average(squares: Sequence[Picture]) -> Answers:
            plain, mirrored = answer(squares), answer(_mirror(squares))
            return plain._replace(probabilities=average_of(plain.probabilities, mirrored.probabilities))

        return average


def average_of(plain: NDArray[np.float32], mirrored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities of pictures, averaged with those of their mirror images; both of shape (pictures, classes)."""
    return np.float32(0.5) * (plain + mirrored)


def _mirror(squares: Sequence[Picture]) -> list[Picture]:
    return [np.ascontiguousarray(square[:, ::-1]) for square in squares]
