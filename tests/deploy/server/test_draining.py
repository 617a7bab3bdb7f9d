"""A service that is told to stop answers all that was sent to it, and ends in time."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.deploy.server.conftest import png, wait_until

from frostline.deploy.server.run import bind, serve
from frostline.deploy.server.settings import Settings
from frostline.errors import ConfigError, ModelError
from frostline.model.classifier import ImageClassifier
from frostline.model.network_classifier import NetworkClassifier

PROGRAM = Path(__file__).parent / "brightness.py"
HEADERS = {"Content-Type": "image/png"}


@contextmanager
def process(seconds: float = 10.0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service in a process of its own, ready, and its port."""
    command = [sys.executable, str(PROGRAM), str(seconds)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr is not None
            line = started.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            port = int(found[1])
            wait_until(lambda: get(port, "/readyz")[0] == 200)
            yield started, port
        finally:
            started.kill()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask_until_refused(port: int, picture: bytes, keep: bool) -> list[float]:
    """Send one request after another; returns when each was answered. Every one that was sent must be."""
    answered: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    while True:
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionRefusedError:
            return answered
        connection.request("POST", "/predict", picture, HEADERS)
        answer = connection.getresponse()
        (entry,) = json.loads(answer.read())["predictions"]
        assert (answer.status, entry["answer"]) == (200, "dark")
        answered.append(time.monotonic())
        if not keep:
            connection.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_no_request_is_lost_when_it_is_told_to_stop(number: signal.Signals, code: int) -> None:
    picture = png(40, 40)
    with process() as (started, port), ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask_until_refused, port, picture, keep) for keep in [True, False] * 4]
        time.sleep(0.6)
        told = time.monotonic()
        started.send_signal(number)
        answers = [client.result(30) for client in clients]
        assert started.wait(10) == code
        assert started.stderr is not None
        assert started.stderr.read() == ""
    assert all(len(times) > 3 for times in answers)
    assert all(times[-1] > told for times in answers)


def test_a_quiet_service_stops_soon() -> None:
    with process() as (started, _):
        told = time.monotonic()
        started.terminate()
        assert started.wait(10) == 0
        assert time.monotonic() - told < 3


def open_request(port: int, content: bytes) -> socket.socket:
    """A connection on which the head of a request was sent, and some of its body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content[:20])
    return connection


def read_all(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(65_536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_while_it_stops_it_says_so_and_finishes_what_was_begun() -> None:
    picture = png(40, 40)
    with process() as (started, port), open_request(port, picture) as begun:
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        started.terminate()
        wait_until(lambda: get(port, "/readyz") == (503, b'{"status":"stopping"}'))
        kept.request("POST", "/predict", picture, HEADERS)
        answer = kept.getresponse()
        assert answer.status == 200
        assert answer.getheader("Connection") == "close"
        assert answer.read()
        time.sleep(1)
        begun.sendall(picture[20:])
        assert b"200 OK" in read_all(begun)
        assert started.wait(10) == 0


def test_a_client_that_never_ends_its_request_cannot_keep_it_from_stopping() -> None:
    with process(seconds=1.5) as (started, port), open_request(port, png(40, 40)) as begun:
        started.terminate()
        assert b"408" in read_all(begun)
        assert started.wait(10) == 0


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: Address already in use; give another"):
            serve(tmp_path, Settings(port=port))


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen at 203\.0\.113\.1, port 80"):
        bind("203.0.113.1", 80)


def test_a_classifier_that_cannot_run_ends_the_service(
    classifier: NetworkClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(expected: int = 0) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(classifier, "answering", fail)
    monkeypatch.setattr(ImageClassifier, "load", lambda path: classifier)
    with pytest.raises(ModelError, match="the classifier at photos cannot run: no such operation"):
        serve("photos", Settings(port=0, host="0.0.0.0"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("serving photos (3 classes, 64 px) at http://0.0.0.0:")
    assert second == "warning: whoever reaches this address can use it; give --token"
