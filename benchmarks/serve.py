"""Measure `frostline serve` under load, beside a plain service of the same network: `python benchmarks/serve.py RUN`.

RUN is the folder of a run, and PICTURES a folder of JPEG files. Clients are in a process of their own on the same
machine, each with one connection: it sends the next picture as soon as it has its answer. The services take turns.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from measure import HERE, RESULTS, FailedError, Results

START_SECONDS = 120.0
"""In which a service must answer its first picture."""


@dataclass(frozen=True)
class Load:
    """What clients saw of a service."""

    pictures_per_second: float
    p50_ms: float
    p99_ms: float
    answers: int
    failures: int
    """Answers of another status than 200, and connections that broke."""


async def _client(
    port: int, requests: Sequence[bytes], until: float, latencies: list[float], failures: list[str]
) -> None:
    """Send one request after another until a time of `time.monotonic`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    place = 0
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(requests[place % len(requests)])
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            failures.append(str(error))
            break
        if not head.startswith(b"HTTP/1.1 200"):
            failures.append(head.decode())
        latencies.append(time.perf_counter() - started)
        place += 1
    writer.close()


async def _load(port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    requests = [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
        for body in bodies
    ]
    shift = max(1, len(requests) // clients)
    latencies: list[float] = []
    failures: list[str] = []
    started = time.monotonic()
    ordered = [requests[number * shift % len(requests) :] + requests for number in range(clients)]
    await asyncio.gather(*(_client(port, each, started + seconds, latencies, failures) for each in ordered))
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    elapsed = time.monotonic() - started
    return Load(len(latencies) / elapsed, float(p50), float(p99), len(latencies), len(failures))


def load(port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Let so many clients send pictures for so long; in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_run_load, (port, bodies, clients, seconds))


def _run_load(port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    return asyncio.run(_load(port, bodies, clients, seconds))


def services(classifier: Path, export: Path | None) -> dict[str, list[str]]:
    """Commands that start each service, but for its port."""
    frostline = [sys.executable, "-m", "frostline", "serve", str(classifier)]
    found = {
        "plain starlette": [sys.executable, str(HERE / "peers" / "starlette_server.py"), str(classifier)],
        "frostline": frostline,
        "frostline, no batching": [*frostline, "--batch-size", "1"],
    }
    if export is not None:
        found["frostline, export"] = [sys.executable, "-m", "frostline", "serve", str(export)]
    return found


@contextmanager
def running(command: list[str], body: bytes) -> Iterator[int]:
    """A service, once it has answered; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.PIPE) as process:  # noqa: S603
        try:
            _wait(process, port, body)
            yield port
        finally:
            process.terminate()
            process.communicate()


def _wait(process: subprocess.Popen[bytes], port: int, body: bytes) -> None:
    """Until a service answers. Raises `FailedError` where it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            asyncio.run(_load(port, [body], 1, 0.5))
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise FailedError(f"{process.args!r} does not answer")


def main() -> None:
    """Measure every service with every number of clients, and add the figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--export", type=Path, help="an artefact of the run, to be served too")
    parser.add_argument("--clients", nargs="*", type=int, default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--services", nargs="*")
    parser.add_argument("--results", type=Path, default=RESULTS / "serve.json")
    options = parser.parse_args()
    bodies = [path.read_bytes() for path in sorted(options.pictures.rglob("*.jpg"))]
    about = json.loads((options.run / "classifier" / "classifier.json").read_text(encoding="utf-8"))
    network = f"{about['backbone']} at {about['preprocessing']['size']} px"
    case = {"network": network, "pictures": len(bodies), "mean_bytes": sum(map(len, bodies)) // len(bodies)}
    results = Results(options.results, ("network", "service", "clients", "repeat"))
    for repeat in range(options.repeats):
        for name, command in services(options.run, options.export).items():
            if options.services and name not in options.services:
                continue
            with running(command, bodies[0]) as port:
                for clients in options.clients:
                    load(port, bodies, clients, 2.0)
                    seen = load(port, bodies, clients, options.seconds)
                    results.add({**case, "service": name, "clients": clients, "repeat": repeat, **asdict(seen)})
                    print(f"{name}, {clients} clients: {seen}", file=sys.stderr)


if __name__ == "__main__":
    main()
