"""What a classifier says about one picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNSURE = "unsure"
"""The answer about a picture of too little confidence."""


def are_unsure(probabilities: NDArray[np.float32], below: float | None) -> NDArray[np.bool_]:
    """Which answers are too unsure, (pictures,), by their probabilities, (pictures, classes); none where `below` is."""
    unsure: NDArray[np.bool_] = probabilities.max(axis=1) < (below or 0.0)
    return unsure


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the classifier says about one picture."""

    path: str
    probabilities: NDArray[np.float32]
    """Shape (classes,); sums to one."""
    class_names: tuple[str, ...]
    unsure: bool = False
    """Whether the confidence is below the classifier's threshold."""
    distance: float | None = None
    """How far the picture is from the training pictures; None where the classifier does not measure it."""
    far: bool = False
    """Whether it is further than nearly all validation pictures: it may show something else than the classes."""

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.class_names[int(self.probabilities.argmax())]

    @property
    def answer(self) -> str:
        """The most probable class, or `unsure`."""
        return UNSURE if self.unsure else self.label

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return float(self.probabilities.max())

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """The `count` most probable classes with their probabilities, most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]
