"""HTTP connections: uvicorn's, which answer what is not HTTP as the rest of the service would, and never wait long."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from frostline.deploy.server import problems
from frostline.deploy.server.boundary import SECURITY_HEADERS

HEAD_SECONDS = 15.0
"""In which a request's first line and headers must arrive, from the first byte on, or from the connection's start."""


_MOST_HEAD_BYTES = 2**16
"""Of a request's first line and headers."""


class Connection(HttpToolsProtocol):
    """A connection that is closed where a request's head does not arrive whole in `HEAD_SECONDS`."""

    _due: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some bytes, and see whether a request's head is whole with them."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self.is_idle else 0
        if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("the head is too long")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was told to."""
        if self._due is not None:
            self._due.cancel()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if self._due is None and self.is_idle:
            self._due = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)
        elif self._due is not None and not self.is_idle:
            self._due.cancel()
            self._due = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close the connection."""
        body = json.dumps(problems.describe(400, "This is not a request by HTTP/1.1.")).encode()
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *SECURITY_HEADERS,
        ]
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in headers), b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()
