"""A service on loopback with a small network of random weights, and pictures for it."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image

from frostline.deploy.server.app import make_app
from frostline.deploy.server.connection import Connection
from frostline.deploy.server.draining import DrainingServer
from frostline.deploy.server.run import bind
from frostline.deploy.server.service import Service
from frostline.deploy.server.settings import Settings
from frostline.model.backbone import load_backbone
from frostline.model.classifier import ImageClassifier
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing

SIZE = 64
CLASSES = ("apple", "leaf", "sky")


class Running(NamedTuple):
    """A service that listens."""

    client: httpx.Client
    service: Service
    port: int
    server: DrainingServer


@pytest.fixture(scope="session")
def classifier() -> NetworkClassifier:
    """A network with random weights, whose answers differ from picture to picture."""
    torch.manual_seed(0)
    architecture = Architecture("test_efficientnet", 0, "silu", 0.0)
    backbone = load_backbone(architecture.backbone, weights="none", size=SIZE)
    network = architecture.add_head(backbone, len(CLASSES))
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.2, 0.6)
    with torch.no_grad():
        logits = network.eval()(torch.randn(8, 3, SIZE, SIZE))
        network.head.get_parameter("1.weight").mul_(0.3 / logits.std())
    preprocessing = Preprocessing(SIZE, backbone.mean, backbone.std, "stretch")
    return NetworkClassifier(architecture, network, preprocessing, CLASSES, {"dataset": "photos"})


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of noise, of several shapes and formats."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = []
    for number, suffix in enumerate(("jpg", "png", "webp", "gif", "bmp", "tiff", "jpg", "png")):
        paths.append(folder / f"{number}.{suffix}")
        noise = rng.integers(0, 256, (70 + 9 * number, 64 + number, 3), dtype=np.uint8)
        Image.fromarray(noise).save(paths[-1])
    return paths


@contextmanager
def running(classifier: ImageClassifier, settings: Settings) -> Iterator[Running]:
    """A service in a thread, ready, at a port of its own."""
    app = make_app(classifier, settings)
    service: Service = app.state.service
    config = uvicorn.Config(
        app, http=Connection, loop="asyncio", ws="none", lifespan="on", log_config=None, access_log=False
    )
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        server = DrainingServer(config, service, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
                wait_until(lambda: service.status == "ready")
                yield Running(client, service, port, server)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    """`running`, for tests that want a service of their own."""
    return running


@pytest.fixture(scope="session")
def served(classifier: NetworkClassifier) -> Iterator[Running]:
    """One service for many tests, with small limits."""
    settings = Settings(max_body_bytes=200_000, max_pixels=100_000, max_pictures=8)
    with running(classifier, settings) as served:
        yield served


def png(width: int, height: int, colour: str = "teal") -> bytes:
    """A picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "PNG")
    return stream.getvalue()
