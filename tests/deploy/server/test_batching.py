"""Concurrent requests are computed together, and get the answers that they would get alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.deploy.server.conftest import png, running

from frostline.data.dataset import Picture
from frostline.deploy.server.batching import MOST_WAITING, Batcher, BusyError, EngineError
from frostline.deploy.server.settings import Settings
from frostline.model.classifier import Answering, Answers, ImageClassifier
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing


class Controlled(ImageClassifier):
    """Says how bright a picture is, once the engine may go on; fails on a picture that is black."""

    class_names = ("dark", "bright")
    preprocessing = Preprocessing(8, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    unsure_below = None
    far_beyond = None

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.batches: list[int] = []
        self.seen: set[int] = set()

    def answering(self, expected: int = 0) -> Answering:
        def answer(squares: Sequence[Picture]) -> Answers:
            assert self.may_go_on.wait(10)
            self.batches.append(len(squares))
            self.seen |= {int(square[0, 0, 0]) for square in squares}
            if any(not square.any() for square in squares):
                raise RuntimeError("the engine failed in /a/secret/place")
            bright = np.array([square.mean() / 255 for square in squares], np.float32)
            return Answers(np.stack([1 - bright, bright], axis=1), None)

        return answer


def square(level: int) -> Picture:
    return np.full((8, 8, 3), level, np.uint8)


def run(test: Callable[[Batcher, Controlled], Awaitable[None]], batch_size: int = 4, batch_wait: float = 0) -> None:
    """Run a test's coroutine with a batcher."""
    classifier = Controlled()
    observed: list[int] = []

    async def main() -> None:
        batcher = Batcher(classifier, batch_size, batch_wait, observed.append)
        await test(batcher, classifier)
        classifier.may_go_on.set()
        await batcher.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert observed == classifier.batches


async def ask(batcher: Batcher, *levels: int) -> list[float]:
    predictions = await batcher.answer([square(level) for level in levels])
    return [round(float(prediction.probabilities[1]) * 255) for prediction in predictions]


async def together(*asked: Awaitable[list[float]]) -> list[list[float]]:
    return list(await asyncio.gather(*asked))


async def until_busy(batcher: Batcher, classifier: Controlled) -> asyncio.Task[list[float]]:
    """Have the engine begin a batch that does not end before it may."""
    classifier.may_go_on.clear()
    busy = asyncio.create_task(ask(batcher, 1))
    await asyncio.sleep(0.02)
    return busy


def test_what_comes_while_the_engine_computes_is_one_batch() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        busy = await until_busy(batcher, classifier)
        asked = [asyncio.create_task(ask(batcher, level)) for level in (20, 30, 40)]
        await asyncio.sleep(0.02)
        classifier.may_go_on.set()
        assert await together(busy, *asked) == [[1], [20], [30], [40]]
        assert classifier.batches == [1, 3]

    run(test)


def test_a_large_request_is_split_and_answered_in_its_order() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        levels = list(range(10, 110, 10))
        assert await together(ask(batcher, *levels), ask(batcher, 200)) == [levels, [200]]
        assert classifier.batches == [4, 4, 3]
        assert await ask(batcher) == []

    run(test)


@pytest.mark.parametrize("size", [0, 1])
def test_batching_can_be_turned_off(size: int) -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        assert await together(ask(batcher, 1, 2), ask(batcher, 3)) == [[1, 2], [3]]
        assert classifier.batches == [1, 1, 1]

    run(test, batch_size=size)


def test_an_idle_engine_waits_only_for_pictures_that_are_coming() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await ask(batcher, 1)
        assert loop.time() - start < 0.2
        with batcher.coming():
            first = asyncio.create_task(ask(batcher, 2))
            await asyncio.sleep(0.05)
            assert classifier.batches == [1]
        assert await together(first, ask(batcher, 3)) == [[2], [3]]
        assert classifier.batches == [1, 2]
        with batcher.coming():
            start = loop.time()
            await ask(batcher, 4)
            assert 0.25 < loop.time() - start < 1
            assert await together(ask(batcher, 5, 6), ask(batcher, 7, 8)) == [[5, 6], [7, 8]]
        assert classifier.batches == [1, 2, 1, 4]

    run(test, batch_wait=300)


def test_pictures_of_a_request_that_is_given_up_are_not_computed() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        busy = await until_busy(batcher, classifier)
        given_up = asyncio.create_task(ask(batcher, 20, 21, 22))
        kept = asyncio.create_task(ask(batcher, 30))
        await asyncio.sleep(0.02)
        given_up.cancel()
        await asyncio.sleep(0.02)
        classifier.may_go_on.set()
        assert await together(busy, kept) == [[1], [30]]
        assert classifier.seen == {1, 30}

    run(test)


def test_an_engine_s_failure_is_of_its_batch_alone() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        busy = await until_busy(batcher, classifier)
        asked = [asyncio.create_task(ask(batcher, *levels)) for levels in ((0, 10, 20), (30, 31, 32), (40,))]
        await asyncio.sleep(0.02)
        classifier.may_go_on.set()
        results = await asyncio.gather(busy, *asked, return_exceptions=True)
        assert [isinstance(result, EngineError) for result in results] == [False, True, True, False]
        assert results[3] == [40]
        assert await ask(batcher, 50) == [50]

    run(test)


def test_no_more_pictures_wait_than_may() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        busy = await until_busy(batcher, classifier)
        waiting = asyncio.create_task(batcher.answer([square(2)] * MOST_WAITING))
        await asyncio.sleep(0.02)
        with pytest.raises(BusyError):
            await ask(batcher, 3)
        classifier.may_go_on.set()
        assert await busy == [1]
        assert len(await waiting) == MOST_WAITING
        assert await ask(batcher, 4) == [4]

    run(test, batch_size=64)


def test_closing_answers_what_was_accepted() -> None:
    async def test(batcher: Batcher, classifier: Controlled) -> None:
        busy = await until_busy(batcher, classifier)
        asked = asyncio.create_task(ask(batcher, 20, 30, 40, 50, 60))
        await asyncio.sleep(0.02)
        classifier.may_go_on.set()
        await batcher.close()
        assert (busy.done(), asked.done()) == (True, True)
        assert await asked == [20, 30, 40, 50, 60]

    run(test)


def test_the_engine_s_failure_is_a_plain_500_and_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    classifier = Controlled()
    with running(classifier, Settings()) as served:
        failed = served.client.post("/predict", content=png(9, 9, "black"))
        assert (failed.status_code, failed.json()["detail"]) == (500, "The server failed on this request.")
        assert "secret" not in failed.text
        assert "content-security-policy" in failed.headers
        assert "/a/secret/place" in caplog.text
        assert served.client.post("/predict", content=png(9, 9, "white")).status_code == 200
        explained = served.client.post("/explain", content=png(20, 20))
        assert (explained.status_code, served.client.get("/model").json()["can_explain"]) == (404, False)


def test_eight_clients_share_batches_and_get_their_own_answers(
    classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    expected = classifier.predict(pictures)
    with running(classifier, Settings(batch_wait=50)) as served:
        before = served.service.metrics.text().decode()

        def ask_for(number: int) -> list[float]:
            answer = served.client.post("/predict", content=pictures[number].read_bytes())
            (entry,) = answer.json()["predictions"]
            return [one["probability"] for one in entry["top"]]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask_for, list(range(8)) * 5))
        after = served.service.metrics.text().decode()
    for number, probabilities in enumerate(found):
        np.testing.assert_allclose(probabilities, [p for _, p in expected[number % 8].top(5)], atol=1e-5)
    batches = _value(after, "frostline_batch_pictures_count") - _value(before, "frostline_batch_pictures_count")
    assert batches <= 30


def _value(metrics: str, name: str) -> float:
    (line,) = [line for line in metrics.splitlines() if line.startswith(name + " ")]
    return float(line.split()[1])
