"""Who may have pictures worked on: the token, the requests in flight, and the time for each."""

import asyncio
import hmac
import math

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from frostline.deploy.server.problems import ProblemError
from frostline.deploy.server.service import Service

_RETRY = {"Retry-After": "1"}


class Admission:
    """Guards the routes that work on pictures."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through; raises `ProblemError` where a limit or the token forbids it."""
        settings = self._service.settings
        if settings.token is not None and not _carries(Headers(scope=scope), settings.token):
            raise ProblemError(401, "This needs the server's token.", {"WWW-Authenticate": "Bearer"})
        if self._in_flight >= settings.max_requests:
            raise ProblemError(503, f"{settings.max_requests} requests are in flight; try again.", _RETRY)
        self._in_flight += 1
        try:
            with self._service.metrics.in_flight.track_inprogress():
                async with asyncio.timeout(settings.max_seconds) as limit:
                    await self._app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ProblemError(408, f"The request took longer than {_seconds(settings.max_seconds)}.") from None
        finally:
            self._in_flight -= 1


def _carries(headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _seconds(seconds: float) -> str:
    return "1 second" if math.isclose(seconds, 1) else f"{seconds:g} seconds"
