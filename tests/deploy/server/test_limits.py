"""Each limit has its answer, and an answer tells nothing of the server's inside."""

import asyncio
import gc
import io
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from PIL import Image
from tests.deploy.server.conftest import Running, png, running, wait_until

from frostline.data.decode import TooManyPixelsError, UnreadablePictureError
from frostline.deploy.server.decoding import Decoder
from frostline.deploy.server.settings import Settings, allowed_formats
from frostline.deploy.server.uploads import Upload
from frostline.errors import ConfigError
from frostline.model.network_classifier import NetworkClassifier


def refused(answer: httpx.Response, status: int, detail: str) -> None:
    """The answer must be a problem of this status, whose detail holds this text and no more than a sentence or two."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert sorted(body) == ["detail", "status", "title", "type"]
    assert (answer.status_code, body["status"], body["type"]) == (status, status, "about:blank")
    assert detail in body["detail"]
    for inside in ("Traceback", "/home", "/root", "/work", ".py", "site-packages", "\n"):
        assert inside not in answer.text


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(served: Running) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 200001\r\n\r\n"
        )
        start = time.monotonic()
        head = connection.recv(65_536)
        assert b"413" in head.partition(b"\r\n")[0]
        assert b"connection: close" in head
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_and_the_client_sees_why(chunked: bool, served: Running) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(400):
            yield b"x" * 65_536

    content = chunks() if chunked else b"x" * 5_000_000
    answer = served.client.post("/predict", content=content)
    refused(answer, 413, "larger than 200,000 bytes")
    assert answer.headers["connection"] == "close"
    assert served.client.post("/predict", content=png(70, 70)).status_code == 200


def test_too_many_pictures_are_refused(served: Running) -> None:
    files = [("picture", ("a.png", png(70, 70)))] * 9
    refused(served.client.post("/predict", files=files), 413, "more than 8 pictures")
    assert served.client.post("/predict", files=files[:8]).status_code == 200


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is a large one."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("side", [317, 10_000, 50_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(side: int, served: Running) -> None:
    start = time.monotonic()
    refused(served.client.post("/predict", content=bomb(side, side)), 413, "pixels")
    assert time.monotonic() - start < 2
    files = [("a", ("bomb.png", bomb(side, side))), ("a", ("fine.png", png(70, 70)))]
    entries = served.client.post("/predict", files=files).json()["predictions"]
    assert "pixels" in entries[0]["error"]
    assert "answer" in entries[1]


def test_pictures_that_are_refused_are_not_kept(classifier: NetworkClassifier) -> None:
    cut = png(70, 70)[:-30]

    async def decode() -> list[object]:
        decoder = Decoder(classifier.preprocessing, 100_000)
        try:
            return list(await decoder.squares([Upload("a.png", cut), Upload("b.png", bomb(9_999, 9_999))]))
        finally:
            decoder.close()

    for error, kind in zip(asyncio.run(decode()), (UnreadablePictureError, TooManyPixelsError), strict=True):
        assert type(error) is kind
        assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


def test_a_request_that_is_refused_is_forgotten_at_once(served: Running) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            refused(served.client.post("/predict", content=png(70, 70)[:-30]), 422, "truncated")
        kept = sum(type(one) is Upload for one in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 1  # the last one's connection may still be at it


def encode(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (70, 70), "teal").save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PDF", "TGA", "PCX", "PPM", "SGI", "ICNS", "JPEG2000", "DDS"])
def test_formats_that_are_not_meant_are_refused(kind: str, served: Running) -> None:
    refused(served.client.post("/predict", content=encode(kind)), 422, "it is not a picture")


def test_formats_that_are_meant_are_read(served: Running) -> None:
    for kind in (*allowed_formats(), "MPO"):
        if kind != "HEIF":
            answer = served.client.post("/predict", content=encode(kind))
            assert answer.status_code == 200, (kind, answer.text)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "im age", ""])
def test_other_kinds_of_body_are_refused(kind: str, served: Running) -> None:
    refused(served.client.post("/predict", content=b"x", headers={"Content-Type": kind}), 415, "multipart/form-data")


FORM = 'Content-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("image/png", ""),
        ("multipart/form-data", "--x--"),
        ("multipart/form-data; boundary=x", ""),
        ("multipart/form-data; boundary=x", "--x--\r\n"),
        ("multipart/form-data; boundary=x", f"--x\r\n{FORM}cut"),
        ("multipart/form-data; boundary=x", f"--x\r\n{FORM}whole\r\n--x\r\n{FORM}cut"),
        ("multipart/form-data; boundary=x", "--y\r\n"),
        ("multipart/form-data; boundary=x", "--x\r\nno header\r\n\r\n\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", "--x\r\nA: b\r\n\r\nno name\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
        ("multipart/form-data; boundary=" + "x" * 5_000, "--x--"),
    ],
)
def test_a_body_without_a_whole_picture_is_refused(kind: str, body: str, served: Running) -> None:
    refused(served.client.post("/predict", content=body, headers={"Content-Type": kind}), 400, "")


def test_a_slow_client_meets_the_limit_of_time(classifier: NetworkClassifier) -> None:
    def drip() -> Iterator[bytes]:
        while True:
            yield b"x"
            time.sleep(0.02)

    with running(classifier, Settings(max_seconds=0.5)) as served:
        start = time.monotonic()
        refused(served.client.post("/predict", content=drip()), 408, "longer than 0.5 seconds")
        assert 0.4 < time.monotonic() - start < 4
        assert served.client.post("/predict", content=png(70, 70)).status_code == 200


def test_above_the_requests_in_flight_a_client_is_told_to_come_again(classifier: NetworkClassifier) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
    with running(classifier, Settings(max_requests=1)) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as first:
            first.sendall(head)
            wait_until(lambda: b"frostline_requests_in_flight 1.0" in served.service.metrics.text())
            answer = served.client.post("/predict", content=png(70, 70))
            refused(answer, 503, "1 requests are in flight")
            assert int(answer.headers["retry-after"]) > 0
            assert served.client.get("/healthz").status_code == 200
        wait_until(lambda: b"frostline_requests_in_flight 0.0" in served.service.metrics.text())
        assert served.client.post("/predict", content=png(70, 70)).status_code == 200
        assert b'status="499"' in served.service.metrics.text()


def test_the_token_is_needed_where_pictures_are_worked_on(classifier: NetworkClassifier) -> None:
    with running(classifier, Settings(token="se.cret+/=")) as served:
        for path in ("/predict", "/explain"):
            for given in (None, "", "se.cret+/=", "Bearer", "Bearer wrong", "Bearer sécret", "Basic se.cret+/="):
                headers = [] if given is None else [(b"Authorization", given.encode())]
                answer = served.client.post(path, content=png(70, 70), headers=headers)
                refused(answer, 401, "needs the server's token")
                assert answer.headers["www-authenticate"] == "Bearer"
            allowed = {"Authorization": "bearer se.cret+/="}
            assert served.client.post(path, content=png(70, 70), headers=allowed).status_code == 200
        for path in ("/", "/model", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert served.client.get(path).status_code == 200
        assert served.client.get("/model").json()["token_needed"] is True


def test_what_is_not_http_is_refused_in_the_same_words(served: Running) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        answer = connection.recv(65_536)
    assert b"400 Bad Request" in answer
    assert b"application/problem+json" in answer
    assert b"x-content-type-options: nosniff" in answer


def test_a_head_that_never_ends_is_given_up(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.deploy.server.connection.HEAD_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHo")
        time.sleep(0.2)
        connection.sendall(b"st")
        assert connection.recv(1) == b""


def test_clients_that_go_are_forgotten(served: Running) -> None:
    def go(number: int) -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            body = png(70, 70)
            length = len(body) + number % 2
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (length, body))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(go, range(24)))
    wait_until(lambda: b"frostline_requests_in_flight 0.0" in served.service.metrics.text())
    assert served.client.post("/predict", content=png(70, 70)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_pixels": 0},
        {"max_seconds": 0},
        {"batch_wait": -1},
        {"port": 70_000},
        {"top_k": 2_000},
        {"token": "two words"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
    assert "secret" not in repr(Settings(token="secret"))


def test_a_head_without_end_is_cut_off(served: Running) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n")
        with suppress(OSError):
            for number in range(200):
                connection.sendall(b"X-More-%d: %b\r\n" % (number, b"x" * 1_000))
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
