"""Flip test-time augmentation: a picture is answered together with its mirror image."""

from collections.abc import Sequence

import numpy as np

from frostline.data.dataset import Picture
from frostline.model.classifier import Answering, Answers, ImageClassifier


class FlipAveraged(ImageClassifier):
    """A classifier whose probabilities are the mean of those of each picture and of its mirror image.

    That takes twice the time. Distances and thresholds are those of the classifier itself.
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

    def answering(self, expected: int = 0) -> Answering:
        """See `ImageClassifier`."""
        answer = self._classifier.answering(2 * expected)

        def average(squares: Sequence[Picture]) -> Answers:
            plain = answer(squares)
            mirrored = answer([np.ascontiguousarray(square[:, ::-1]) for square in squares])
            return plain._replace(probabilities=np.float32(0.5) * (plain.probabilities + mirrored.probabilities))

        return average
