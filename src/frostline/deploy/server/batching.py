"""Joins the pictures of concurrent requests, so that the engine computes them together."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from frostline.data.dataset import Picture
from frostline.deploy.server.engine import fastest_answering
from frostline.model.classifier import Answering, ImageClassifier
from frostline.model.prediction import Prediction

MOST_WAITING = 1_024
"""Pictures that may wait for the engine, beside those of one request; with 224 px they take 150 MB."""


class BusyError(Exception):
    """More pictures wait for the engine than may."""


class EngineError(Exception):
    """The engine failed on a batch; its own error is the cause."""


class _Job:
    """The fitted pictures of one request, and what is known of them."""

    def __init__(self, squares: Sequence[Picture], loop: asyncio.AbstractEventLoop) -> None:
        self.squares = squares
        self.predictions: dict[int, Prediction] = {}
        self.arrived = loop.time()
        self.done: asyncio.Future[list[Prediction]] = loop.create_future()

    def take(self, index: int, prediction: Prediction) -> None:
        """Keep what the engine says of one picture; with the last one the job is done."""
        self.predictions[index] = prediction
        if len(self.predictions) == len(self.squares) and not self.done.done():
            self.done.set_result([self.predictions[index] for index in range(len(self.squares))])


class Batcher:
    """Runs a classifier in one thread, on the pictures of several requests at once.

    While the engine computes one batch, the next one collects. An idle engine waits only for pictures that are known to
    come (see `coming`), and no longer than `batch_wait`, so that a single client never waits. To be used from one event
    loop, and from nothing else.
    """

    def __init__(
        self, classifier: ImageClassifier, batch_size: int, batch_wait: float, observe: Callable[[int], object]
    ) -> None:
        """`batch_wait` is in milliseconds; `observe` is told the size of each batch."""
        self._classifier = classifier
        self._batch_size = max(1, batch_size)
        self._wait = batch_wait / 1_000
        self._observe = observe
        self._answering: Answering | None = None
        self._worker = ThreadPoolExecutor(1, "frostline-engine")
        self._waiting: deque[tuple[_Job, int]] = deque()
        self._open: set[asyncio.Future[list[Prediction]]] = set()
        self._coming = 0
        self._computing = False
        self._timer: asyncio.TimerHandle | None = None

    async def warm_up(self) -> None:
        """Make the engine, and run it on batches of all orders of size; pictures that come meanwhile wait."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._warm_up)

    def _warm_up(self) -> None:
        size = self._classifier.preprocessing.size
        square = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        count = 1
        while count < self._batch_size:
            self._compute([square] * count)
            count *= 2
        self._compute([square] * self._batch_size)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While inside, pictures are about to come for which others may wait."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def answer(self, squares: Sequence[Picture]) -> list[Prediction]:
        """What the classifier says of fitted pictures, in their order.

        A caller that is cancelled takes its pictures away with it. Raises `BusyError` where too many wait already, and
        `EngineError` where the engine fails on one of their batches.
        """
        if self._waiting and len(self._waiting) + len(squares) > MOST_WAITING:
            raise BusyError
        if not squares:
            return []
        job = _Job(squares, asyncio.get_running_loop())
        self._open.add(job.done)
        self._waiting.extend((job, index) for index in range(len(squares)))
        self._go_on()
        try:
            return await job.done
        finally:
            self._open.discard(job.done)
            if len(job.predictions) < len(squares):
                self._waiting = deque(item for item in self._waiting if item[0] is not job)

    async def close(self) -> None:
        """Answer what was accepted, then end the thread."""
        if self._open:
            await asyncio.wait(self._open)
        self._worker.shutdown()

    def _go_on(self) -> None:
        """Start a batch, now or once the picture that came first has waited long enough."""
        if self._computing or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._coming and len(self._waiting) < self._batch_size:
            due = self._waiting[0][0].arrived + self._wait
            if due > loop.time():
                if self._timer is None:
                    self._timer = loop.call_at(due, self._start)
                return
        self._start()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._computing or not self._waiting:
            return
        batch = [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]
        self._computing = True
        self._observe(len(batch))
        squares = [job.squares[index] for job, index in batch]
        computed = asyncio.get_running_loop().run_in_executor(self._worker, self._compute, squares)
        computed.add_done_callback(lambda future: self._finish(batch, future))

    def _finish(self, batch: list[tuple[_Job, int]], computed: asyncio.Future[list[Prediction]]) -> None:
        """Hand out what a batch gave, after the next one has been started."""
        self._computing = False
        self._go_on()
        error = computed.exception()
        if error is None:
            for (job, index), prediction in zip(batch, computed.result(), strict=True):
                job.take(index, prediction)
            return
        for job in {job for job, _ in batch}:
            if not job.done.done():
                failure = EngineError(str(error))
                failure.__cause__ = error
                job.done.set_exception(failure)

    def _compute(self, squares: list[Picture]) -> list[Prediction]:
        """Run the engine; in its thread."""
        if self._answering is None:
            self._answering = fastest_answering(self._classifier)
        return list(self._classifier.predictions(self._answering(squares)))
