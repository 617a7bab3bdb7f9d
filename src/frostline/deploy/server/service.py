"""All that a running service is made of, and whether it starts, serves or stops."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from frostline.deploy.server.batching import Batcher
from frostline.deploy.server.decoding import Decoder
from frostline.deploy.server.explaining import Explaining
from frostline.deploy.server.metrics import Metrics
from frostline.deploy.server.settings import Settings
from frostline.model.classifier import ImageClassifier


class Service:
    """A classifier with the threads and counters that serve it."""

    def __init__(self, classifier: ImageClassifier, settings: Settings) -> None:
        self.classifier = classifier
        self.settings = settings
        self.metrics = Metrics()
        self.batcher = Batcher(classifier, settings.batch_size, settings.batch_wait, self.metrics.batches.observe)
        self.decoder = Decoder(classifier.preprocessing, settings.max_pixels)
        self.explaining = Explaining(classifier)
        self.stopping = False
        """Whether it was told to stop; requests are answered still, and ask the clients to close their connections."""
        self._warm_up: asyncio.Task[None] | None = None
        self._running = 0
        self._last_traffic = time.monotonic()

    @property
    def status(self) -> Literal["starting", "ready", "stopping"]:
        """What `/readyz` says."""
        if self.stopping:
            return "stopping"
        warm = self._warm_up is not None and self._warm_up.done() and self.failure is None
        return "ready" if warm else "starting"

    @property
    def failure(self) -> BaseException | None:
        """Why the engine could not start; None where it could, or may yet."""
        if self._warm_up is None or not self._warm_up.done() or self._warm_up.cancelled():
            return None
        return self._warm_up.exception()

    def start(self) -> None:
        """Begin to make the engine; pictures that come meanwhile wait for it."""
        self._warm_up = asyncio.create_task(self.batcher.warm_up())

    async def close(self) -> None:
        """Answer what was accepted, and end all threads."""
        await self.batcher.close()
        self.decoder.close()
        self.explaining.close()

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """While inside, a request is worked on."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._last_traffic = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """How long no request has been worked on."""
        return 0.0 if self._running else time.monotonic() - self._last_traffic
