"""The routes that work on pictures: `/predict` and `/explain`."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from frostline.data.dataset import Picture
from frostline.data.decode import TooManyPixelsError, UnreadablePictureError
from frostline.deploy.server.batching import BusyError
from frostline.deploy.server.explaining import CannotExplainError
from frostline.deploy.server.problems import ProblemError
from frostline.deploy.server.service import Service
from frostline.deploy.server.settings import MOST_TOP_K
from frostline.deploy.server.uploads import Upload, read_uploads
from frostline.model.prediction import Prediction

_Result = TypeVar("_Result")


async def predict(request: Request) -> Response:
    """Classify the pictures of a request."""
    service: Service = request.app.state.service
    top_k = _top_k(request, service.settings.top_k)
    uploads = await read_uploads(request, service.settings)
    answers = await _unless_gone(request, _classify(service, uploads))
    entries = [_entry(upload, answer, top_k) for upload, answer in zip(uploads, answers, strict=True)]
    return JSONResponse({"predictions": entries})


async def explain(request: Request) -> Response:
    """Lay the heat of a class over the picture of a request."""
    service: Service = request.app.state.service
    target = _target(request, service.classifier.class_names)
    uploads = await read_uploads(request, service.settings)
    if len(uploads) > 1:
        raise ProblemError(413, "Only one picture can be explained at a time.")
    return Response(await _unless_gone(request, _overlay(service, uploads, target)), media_type="image/png")


async def _classify(service: Service, uploads: Sequence[Upload]) -> list[Prediction | UnreadablePictureError]:
    """What the classifier says of each file, or why it cannot be read. Raises `ProblemError` where none can."""
    with service.batcher.coming():
        squares = await _decode(service, uploads)
    try:
        predictions = iter(await service.batcher.answer([one for one in squares if isinstance(one, np.ndarray)]))
    except BusyError:
        raise ProblemError(503, "Too many pictures wait; try again.", {"Retry-After": "1"}) from None
    return [one if isinstance(one, UnreadablePictureError) else next(predictions) for one in squares]


async def _overlay(service: Service, uploads: Sequence[Upload], target: int | None) -> bytes:
    (square,) = await _decode(service, uploads)
    assert isinstance(square, np.ndarray)
    try:
        return await service.explaining.overlay(square, target)
    except CannotExplainError:
        raise ProblemError(404, "This classifier cannot be explained: its network is not at hand.") from None


async def _decode(service: Service, uploads: Sequence[Upload]) -> list[Picture | UnreadablePictureError]:
    """Fitted pictures, and errors in the place of some. Raises `ProblemError` where no picture can be read."""
    squares = await service.decoder.squares(uploads)
    errors = [square for square in squares if isinstance(square, UnreadablePictureError)]
    service.metrics.pictures.inc(len(squares))
    service.metrics.unreadable.inc(len(errors))
    if len(errors) < len(squares):
        return squares
    status = 413 if all(isinstance(error, TooManyPixelsError) for error in errors) else 422
    first = f"{errors[0].path} cannot be read: {errors[0].reason}."
    raise ProblemError(status, first if len(errors) == 1 else f"None of {len(errors)} pictures can be read; {first}")


def _entry(upload: Upload, answer: Prediction | UnreadablePictureError, top_k: int) -> dict[str, Any]:
    """What is said of one file."""
    if isinstance(answer, UnreadablePictureError):
        return {"name": upload.name, "error": answer.reason}
    top = [{"class": name, "probability": probability} for name, probability in answer.top(top_k)]
    return {"name": upload.name, "answer": answer.answer, "unsure": answer.unsure, "far": answer.far, "top": top}


def _top_k(request: Request, default: int) -> int:
    given = request.query_params.get("top_k")
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,4}", given) or not 1 <= int(given) <= MOST_TOP_K:
        raise ProblemError(422, f"top_k must be a whole number from 1 to {MOST_TOP_K}.")
    return int(given)


def _target(request: Request, class_names: Sequence[str]) -> int | None:
    """Index of the class that is asked for; None where none is."""
    name = request.query_params.get("class")
    if name is None:
        return None
    if name not in class_names:
        raise ProblemError(422, "The classifier has no class of this name; /model lists those that it has.")
    return class_names.index(name)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do work for a request whose body has been read, and give it up once the client goes.

    Raises `ClientDisconnect` then.
    """
    gone = asyncio.create_task(_wait_until_gone(request))
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((gone, working), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        gone.cancel()
        working.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
