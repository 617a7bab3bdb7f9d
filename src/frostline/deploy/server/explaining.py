"""Heat maps on demand: Grad-CAM laid over a picture, as PNG."""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from frostline.data.dataset import Picture
from frostline.deploy.server.engine import needs_torch
from frostline.errors import ModelError
from frostline.model.classifier import ImageClassifier

_SMALLEST_SIDE = 320
"""Of an overlay, in pixels, so that it can be looked at."""


class CannotExplainError(Exception):
    """The classifier has no feature map at hand that a class could be traced to."""


class Explaining:
    """Explains one picture after another, in a thread of its own."""

    def __init__(self, classifier: ImageClassifier) -> None:
        self._classifier = classifier
        self._explain: Callable[[Picture, int | None], Picture] | None = None
        self._worker = ThreadPoolExecutor(1, "frostline-explain")

    async def overlay(self, square: Picture, target: int | None) -> bytes:
        """A fitted picture with heat on what speaks for a class, by default the most probable one: PNG.

        Raises `CannotExplainError` for a classifier that cannot be explained.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._overlay, square, target)

    def close(self) -> None:
        """End the thread."""
        self._worker.shutdown()

    def _overlay(self, square: Picture, target: int | None) -> bytes:
        if self._explain is None:
            self._explain = _make_explain(self._classifier)
        stream = io.BytesIO()
        Image.fromarray(self._explain(square, target)).save(stream, "PNG")
        return stream.getvalue()


def _make_explain(classifier: ImageClassifier) -> Callable[[Picture, int | None], Picture]:
    if not needs_torch(classifier):
        raise CannotExplainError
    from frostline.model.explain import Explainer, overlay
    from frostline.model.network_classifier import NetworkClassifier

    assert isinstance(classifier, NetworkClassifier)
    try:
        explainer = Explainer(classifier)
    except ModelError as error:
        raise CannotExplainError from error
    side = max(_SMALLEST_SIDE, classifier.preprocessing.size)

    def explain(square: Picture, target: int | None) -> Picture:
        heat = explainer([square], None if target is None else [target])
        return overlay(square, heat[0], side)

    return explain
