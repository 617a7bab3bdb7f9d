"""Whatever file is sent, the decoder reads it or says why not, and the service lives on with no more memory."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from tests.deploy.server.conftest import Running, png, wait_until
from tests.deploy.server.corpus import whole_pictures
from tests.deploy.server.hostile import hostile_files
from tests.deploy.server.mutations import mutations, truncations

from frostline.data.decode import UnreadablePictureError, decode_picture
from frostline.deploy.server.settings import allowed_formats
from frostline.model.network_classifier import NetworkClassifier

File = tuple[str, bytes]

MB = 2**20
STEP, FILES = 2_000, 10_000
SECONDS = 300
MOST_GROWTH = 30 * MB
"""Of the service's memory between the first `STEP` files and all `FILES`. Measured are 2 to 6 MB; a service that kept
the pictures it refused for the time of a request grew by 860 MB."""


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    return whole_pictures()


@pytest.fixture(scope="module")
def hostile() -> dict[str, bytes]:
    return hostile_files()


def reason_against(content: bytes, name: str) -> str | None:
    """Why the decoder refuses a file, None where it reads it; it may raise nothing but its own error."""
    try:
        picture = decode_picture(content, name, max_pixels=4_000_000, formats=allowed_formats())
    except UnreadablePictureError as error:
        return error.reason
    assert picture.dtype == np.uint8
    assert picture.shape[2:] == (3,)
    return None


def test_whole_pictures_of_every_format_are_read(whole: dict[str, bytes]) -> None:
    assert {name: reason_against(content, name) for name, content in whole.items()} == dict.fromkeys(whole)
    assert {name.partition(" ")[0] for name in whole} == set(allowed_formats())


def test_hostile_and_damaged_files_are_read_or_refused(whole: dict[str, bytes], hostile: dict[str, bytes]) -> None:
    damaged = islice(mutations({**whole, **hostile}, seed=1), 250)
    for name, content in chain(hostile.items(), damaged):
        reason = reason_against(content, name)
        assert reason is None or (reason and "\n" not in reason), name
        assert reason or "disguised" not in name or "mutation" in name, name


@pytest.mark.full
def test_ten_thousand_files_leave_the_service_as_it_was(
    whole: dict[str, bytes],
    hostile: dict[str, bytes],
    classifier: NetworkClassifier,
    tmp_path: Path,
) -> None:
    sources = {**whole, **hostile}
    files = list(islice(chain(sources.items(), truncations(whole), mutations(sources, seed=2)), FILES))
    answers: Counter[str] = Counter()
    memory = []
    with process(classifier, tmp_path) as server:
        for start in range(0, FILES, STEP):
            answers += server.send(files[start : start + STEP])
            memory.append(server.memory())
            assert server.answers_a_good_picture()
        assert server.process.poll() is None
        assert "Traceback" not in server.log.read_text(errors="replace")
    kinds = Counter(name.partition(" ")[0] for name, _ in files)
    figures = f"{dict(kinds)}; {dict(answers)}; {[round(size / MB) for size in memory]} MB"
    print(figures)
    assert memory[-1] - memory[0] < MOST_GROWTH, figures


@pytest.mark.full
def test_damaged_forms_are_refused(served: Running, pictures: list[Path]) -> None:
    files = [("picture", (path.name, path.read_bytes())) for path in pictures[:3]]
    form = served.client.build_request("POST", "/predict", files=files)
    headers = {"Content-Type": form.headers["content-type"]}
    damaged = mutations({"form": form.read()}, seed=3)
    statuses = {
        served.client.post("/predict", content=body, headers=headers).status_code for _, body in islice(damaged, 1_000)
    }
    assert statuses <= {200, 400, 413, 422}
    assert served.client.post("/predict", content=png(70, 70)).status_code == 200


class Server(NamedTuple):
    """`frostline serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def send(self, files: Sequence[File]) -> Counter[str]:
        """Send files, eight in a form or one as a body, by four clients at a time; returns how they were answered."""
        requests: list[Sequence[File]] = []
        position = 0
        while position < len(files):
            count = 1 if len(requests) % 4 == 3 else 8
            requests.append(files[position : position + count])
            position += count
        with ThreadPoolExecutor(4) as clients:
            return sum(clients.map(self._ask, requests), Counter())

    def _ask(self, files: Sequence[File]) -> Counter[str]:
        if len(files) == 1:
            answer = self.client.post("/predict", content=files[0][1])
        else:
            form = [("picture", (f"{number}.jpg", content)) for number, (_, content) in enumerate(files)]
            answer = self.client.post("/predict", files=form)
        names = [name for name, _ in files]
        assert answer.status_code in (200, 413, 422) or (answer.status_code, files[0][1]) == (400, b""), names
        counts = Counter({f"status {answer.status_code}": 1})
        if answer.status_code != 200:
            return counts + Counter(refused=len(files))
        entries = answer.json()["predictions"]
        assert len(entries) == len(files)
        return counts + Counter("refused" if "error" in entry else "answered" for entry in entries)

    def answers_a_good_picture(self) -> bool:
        answer = self.client.post("/predict", content=png(70, 70))
        return answer.status_code == 200 and "answer" in answer.json()["predictions"][0]

    def memory(self) -> int:
        """Resident bytes of the process, as Linux counts them."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def process(classifier: NetworkClassifier, folder: Path) -> Iterator[Server]:
    """A service with the limits that it has by default, ready; it has time enough on a machine that is busy."""
    if sys.platform != "linux":
        pytest.skip("the memory of another process is read from /proc")
    classifier.save(folder / "classifier")
    options = ["--port", "0", "--max-seconds", str(SECONDS)]
    command = [sys.executable, "-m", "frostline", "serve", str(folder / "classifier"), *options]
    log = folder / "log"
    own = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(MB)}  # else glibc keeps large blocks that were given back
    with log.open("wb") as stream, subprocess.Popen(command, stderr=stream, env=own) as started:
        try:
            wait_until(lambda: "Ctrl-C" in log.read_text(), 120)
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            assert found
            with httpx.Client(base_url=found[0], timeout=SECONDS, trust_env=False) as client:
                wait_until(lambda: client.get("/readyz").status_code == 200, 120)
                yield Server(started, client, log)
        finally:
            started.kill()
