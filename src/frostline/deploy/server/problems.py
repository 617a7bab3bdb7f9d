"""Answers that say what went wrong, as RFC 9457 describes them; nothing of the server's inside is in them."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request that is not answered as it asks: a status, one plain sentence, and more headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def describe(status: int, detail: str) -> dict[str, object]:
    """The members of a problem."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says what went wrong."""
    return JSONResponse(describe(status, detail), status, headers, MEDIA_TYPE)


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """The answer for a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return problem(error.status, error.detail, error.headers)


async def answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    """The answer where no route takes the path, or none takes the method."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
        return problem(405, f"This path takes {allowed} only.", {"Allow": allowed})
    return problem(404, "There is nothing at this path; /openapi.json lists what there is.")
