"""What the benchmarks share: a process watched from start to end, and figures that outlast a later failure."""

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from frostline.files import atomic_write

HERE = Path(__file__).parent
RESULTS = HERE / "results"

_POLL_SECONDS = 0.5
"""Time between two looks at the memory of a process, at least."""

_POLL_SHARE = 0.01
"""Part of the time that looking may take, since the pages of a large process are many."""

_INSTRUCTIONS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
"""By flag of the processor, the widest first: processors of one name differ in them, and in speed."""

_VERSIONS = ("torch", "torchvision", "timm", "openvino", "numpy", "scikit-learn", "pillow")


class FailedError(Exception):
    """A process ended with an error."""


@dataclass(frozen=True)
class Finished:
    """A process that ended well."""

    seconds: float
    """From its start to its end, Python and imports included."""
    peak_bytes: int
    """Largest memory of the process and its children together, shared pages counted once."""
    peak_own_bytes: int
    """The same without the pages of files, which the system takes back when it needs room."""
    output: str
    """What it printed on standard output."""


@dataclass(frozen=True)
class FrostlineRun:
    """A training by `frostline train`, with what its run folder says."""

    seconds: float
    peak_bytes: int
    peak_own_bytes: int
    config: dict[str, Any]
    """Every option."""
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    """One record an epoch."""

    @property
    def network(self) -> str:
        """Backbone and input size."""
        return f"{self.config['backbone']} at {self.config['size']} px"


def run_frostline(*arguments: object) -> FrostlineRun:
    """Run `frostline train` in an empty folder with an empty cache. Raises `FailedError`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "frostline", "train", *map(str, arguments)]
        finished = watch(command, Path(folder), FROSTLINE_CACHE=str(Path(folder, "cache")))
        run = next(Path(folder, "runs").iterdir())
        with (run / "history.csv").open(newline="", encoding="utf-8") as file:
            history = [{name: float(value) for name, value in record.items()} for record in csv.DictReader(file)]
        return FrostlineRun(
            round(finished.seconds, 2),
            finished.peak_bytes,
            finished.peak_own_bytes,
            yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")),
            json.loads((run / "metrics.json").read_text(encoding="utf-8")),
            history,
        )


def watch(command: Sequence[str], folder: Path, **environment: str) -> Finished:
    """Run a command in a folder, with these variables of the environment changed. Raises `FailedError`."""
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    with _peak_memory(process.pid) as peak:
        output, _ = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise FailedError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return Finished(seconds, *peak, output)


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Watch the memory of a process and its children; gives the most that was seen, and that without files."""
    peak = [0, 0]
    stop = threading.Event()

    def look() -> None:
        pause = _POLL_SECONDS
        while not stop.wait(pause):
            began = time.thread_time()
            seen = [_proportional_bytes(each) for each in _family(pid)]
            peak[:] = [max(before, sum(now)) for before, now in zip(peak, zip(*seen, strict=True), strict=True)]
            pause = max(_POLL_SECONDS, (time.thread_time() - began) / _POLL_SHARE)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield from _family(child)


def _proportional_bytes(pid: int) -> tuple[int, int]:
    """Memory of one process, and that without files, pages that it shares counted by their share; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines[1:])}
    return sizes["Pss"], sizes["Pss"] - sizes["Pss_File"]


def machine() -> dict[str, Any]:
    """What figures are measured on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in cpuinfo)}
    flags = about.get("flags", "").split()
    return {
        "cpu": about.get("model name", platform.processor()),
        "instructions": next((name for flag, name in _INSTRUCTIONS.items() if flag in flags), ""),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: version(name) for name in _VERSIONS},
    }


class Results:
    """Figures in a JSON file, which is whole after each one: a later failure loses none of them.

    An entry takes the place of an older one with the same values of `key`, and all others stay.
    """

    def __init__(self, path: Path, key: Sequence[str], settings: Mapping[str, Any] | None = None) -> None:
        """`settings` hold for all entries. Ends the program where the file has other ones, or another machine's."""
        self.path = path
        self._key = key
        self._header = {"machine": machine(), "settings": dict(settings or {})}
        self._entries: list[dict[str, Any]] = []
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if _conditions(before) != _conditions(self._header):
                raise SystemExit(f"{path} has figures of another machine or other settings: give another --results")
            self._entries = before["entries"]

    def add(self, entry: Mapping[str, Any]) -> None:
        """Put an entry into the file."""
        others = [other for other in self._entries if any(other[name] != entry[name] for name in self._key)]
        self._entries = [*others, dict(entry)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as file:
            json.dump({**self._header, "entries": self._entries}, file, indent=1)
            file.write("\n")


def _conditions(content: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must not differ between figures that are compared."""
    machine = content["machine"]
    return machine["cpu"], machine["instructions"], machine["cores"], content["settings"]
