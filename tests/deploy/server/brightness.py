"""Run as a program: serves a classifier that tells dark from bright, slowly, without torch."""

import sys
import time
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from frostline.data.dataset import Picture
from frostline.deploy.server.run import serve
from frostline.deploy.server.settings import Settings
from frostline.model.classifier import Answering, Answers, ImageClassifier
from frostline.model.preprocessing import Preprocessing


class Brightness(ImageClassifier):
    """Tells dark pictures from bright ones, in so many seconds a batch."""

    class_names = ("dark", "bright")
    preprocessing = Preprocessing(32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "stretch")
    unsure_below = None
    far_beyond = None

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def answering(self, expected: int = 0) -> Answering:
        def answer(squares: Sequence[Picture]) -> Answers:
            time.sleep(self._seconds)
            bright = np.array([square.mean() / 255 for square in squares], np.float32)
            return Answers(np.stack([1 - bright, bright], axis=1), None)

        return answer


if __name__ == "__main__":
    with patch.object(ImageClassifier, "load", lambda path: Brightness(0.02)):
        try:
            serve("brightness", Settings(port=0, max_seconds=float(sys.argv[1])))
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            assert "torch" not in sys.modules, "the service needs torch"
