"""A server that stops without losing a request: what was sent to it is answered before it ends."""

import asyncio
import ctypes
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from frostline.deploy.server.connection import Connection
from frostline.deploy.server.service import Service

_QUIET_SECONDS = 0.5
"""Without a request, after which no more is awaited from the clients that are connected."""

_LONGEST_SECONDS = 3.0
"""For which new connections are taken after the signal; a load balancer has learnt of it by then."""

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux


class DrainingServer(uvicorn.Server):
    """uvicorn's server, with another way to stop.

    uvicorn closes its socket and all idle connections at the signal. A request that is in the socket's backlog, or on
    its way on a kept connection, gets no answer then. Here, every answer after the signal asks its client to close the
    connection, new connections are taken until it is quiet, and then the backlog is emptied before the socket is
    closed.
    """

    def __init__(self, config: uvicorn.Config, service: Service, listener: socket.socket) -> None:
        super().__init__(config)
        self.signals: list[int] = []
        """Those that came, in their order."""
        self._service = service
        self._listener = listener

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C ends at once."""
        self._service.stopping = True
        self.signals.append(sig)
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals while inside; uvicorn's own would raise them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        originals = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in originals.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Stop where the engine cannot start, too."""
        return await super().on_tick(counter) or self._service.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what comes still, take no more connections, answer what is left, and end."""
        self._service.stopping = True
        if self._service.failure is None:
            await self._until(lambda: self._service.quiet_seconds > _QUIET_SECONDS, _LONGEST_SECONDS)
            taken = self._close_listener()
            stopped = time.monotonic()
            await self._until(lambda: self._is_done(stopped if taken else 0.0), self._service.settings.max_seconds)
        await super().shutdown(sockets)

    def _is_done(self, since: float) -> bool:
        """Whether no client that is connected has anything to ask."""
        waited = min(self._service.quiet_seconds, time.monotonic() - since)
        state = self.server_state
        return not (state.connections or state.tasks) or waited > _QUIET_SECONDS

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(0.02)

    def _close_listener(self) -> int:
        """Take the connections that wait in the backlog, and close the socket; returns how many there were."""
        _let_no_more_in(self._listener)
        taken = 0
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                task = asyncio.create_task(self._take(connection))
                self.server_state.tasks.add(task)
                task.add_done_callback(self.server_state.tasks.discard)
                taken += 1
        for server in self.servers:
            server.close()
        return taken

    async def _take(self, connection: socket.socket) -> None:
        def make_protocol() -> Connection:
            return Connection(self.config, self.server_state, self.lifespan.state)

        connection.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(make_protocol, connection)


def _let_no_more_in(listener: socket.socket) -> None:
    """Drop what still comes to a listening socket, where the system can.

    A client that connects between the last `accept` and `close` would believe itself connected, and lose its request.
    Linux drops its first packet by a filter (`SO_ATTACH_FILTER`) of one instruction, return 0, and the client's second
    try is refused.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
