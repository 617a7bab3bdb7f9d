"""What holds for every answer: headers, counters, no inside of the server, and how a connection ends."""

import asyncio
import logging
import time
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frostline.deploy.server.problems import problem
from frostline.deploy.server.service import Service

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self)"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
"""On every answer."""

_LINGER = 2.0
"""Seconds for which a body is read on after a refusal: a client that still sends would else not see the answer."""

_GONE = 499
"""Counted, never sent: the client went before its answer (nginx's number for it)."""


class Boundary:
    """The outermost layer of the service."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._service, scope, receive, send)
        start = time.perf_counter()
        with self._service.traffic():
            try:
                await self._app(scope, exchange.receive, exchange.send)
                await exchange.finish()
            except ClientDisconnect:
                exchange.status = _GONE
            except Exception:
                logging.getLogger(__name__).exception("a request failed")
                if exchange.status:
                    raise
                await problem(500, "The server failed on this request.")(scope, exchange.receive, exchange.send)
                await exchange.finish()
            finally:
                route = getattr(scope.get("route"), "path", "none")
                metrics = self._service.metrics
                metrics.requests.labels(route, exchange.status).inc()
                metrics.seconds.labels(route).observe((exchange.answered or time.perf_counter()) - start)


class _Exchange:
    """One request's messages, on their way through the boundary."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name for name, _ in scope["headers"]}
        self._unread = b"transfer-encoding" in headers or b"content-length" in headers
        self._service = service
        self._receive = receive
        self._send = send
        self.status = 0
        """Of the answer; 0 while there is none."""
        self.answered = 0.0

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = self._unread and bool(message.get("more_body", False))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *SECURITY_HEADERS]
            if self._unread or self._service.stopping:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif not message.get("more_body", False):
            self.answered = time.perf_counter()
            if self._unread:
                message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Read on where the answer came before the end of the body, so that the client can take it; then end it."""
        if not self._unread or not self.status:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while self._unread:
                    await self.receive()
        await self._send({"type": "http.response.body", "body": b""})
