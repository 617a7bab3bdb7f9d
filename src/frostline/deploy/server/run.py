"""Serves a classifier until a signal comes."""

import ipaddress
import logging
import math
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from frostline.deploy.server.app import make_app
from frostline.deploy.server.connection import Connection
from frostline.deploy.server.draining import DrainingServer
from frostline.deploy.server.service import Service
from frostline.deploy.server.settings import Settings
from frostline.errors import ConfigError, ModelError
from frostline.model.classifier import ImageClassifier

_KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which common proxies close theirs, so that a request never meets a closed connection."""


def serve(path: str | Path, settings: Settings) -> None:
    """Serve the classifier at `path` until SIGTERM or Ctrl-C, and answer what was accepted.

    Returns after SIGTERM, and raises `KeyboardInterrupt` after Ctrl-C. Raises `ConfigError` where the address cannot be
    had, and `ModelError` where the classifier cannot be loaded or run.
    """
    with bind(settings.host, settings.port) as listener:
        classifier = ImageClassifier.load(path)
        app = make_app(classifier, settings)
        service: Service = app.state.service
        config = uvicorn.Config(
            app,
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.max_seconds),
        )
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        server = DrainingServer(config, service, listener)
        listener.listen(config.backlog)
        _announce(listener, classifier, path, settings)
        server.run(sockets=[listener])
    if service.failure is not None:
        raise ModelError(f"the classifier at {path} cannot run: {service.failure}") from service.failure
    if signal.SIGINT in server.signals:
        raise KeyboardInterrupt


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, not listening yet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            stack.pop_all()
            return listener
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {error.strerror}; give another --host or --port"
        ) from error


def _announce(listener: socket.socket, classifier: ImageClassifier, path: str | Path, settings: Settings) -> None:
    """Say where and what is served, and warn where everybody may ask."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    classes = f"{len(classifier.class_names)} classes, {classifier.preprocessing.size} px"
    print(f"serving {path} ({classes}) at http://{shown}:{port}; Ctrl-C stops it", file=sys.stderr, flush=True)
    if settings.token is None and not ipaddress.ip_address(host).is_loopback:
        print("warning: whoever reaches this address can use it; give --token", file=sys.stderr, flush=True)
