"""Train on the same pictures with frostline and with what people use today, and write the figures as JSON.

Each tool is a process of its own, timed from its start to its test accuracy, everything included.
A tool that needs hours is given few epochs: `benchmarks/report.py` says how its total follows from them.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
FROSTLINE = Path(sys.executable)


@dataclass(frozen=True)
class Tool:
    """One way to train, as a command."""

    name: str
    command: Sequence[str]
    full_epochs: int | None = None
    """The epochs of a whole training, where the benchmark runs fewer."""


@dataclass
class Measured:
    """What one run of a tool came to."""

    tool: str
    seed: int
    seconds: float
    peak_bytes: int
    """Largest memory of the process and its children together, shared pages counted once."""
    full_epochs: int | None
    events: list[dict[str, Any]] = field(default_factory=list)


def tools(options: argparse.Namespace, seed: int) -> dict[str, Tool]:
    """Every tool by name, with its command for one seed."""

    def peer(name: str, python: Path, epochs: int, full_epochs: int | None) -> Tool:
        script = HERE / "peers" / f"{name}_script.py"
        arguments = ["--data", options.arrays, "--weights", options.weights / "mobilenetv2_100.safetensors"]
        command = [python, script, *arguments, "--epochs", epochs, "--seed", seed, "--size", options.size]
        return Tool(name, [str(word) for word in command], full_epochs)

    def frostline(recipe: str) -> Tool:
        command = [str(FROSTLINE), "-m", "frostline", "train", "cifar10", "--recipe", recipe, "--seed", str(seed)]
        return Tool(f"frostline {recipe}", command)

    few = options.peer_epochs
    found = [
        frostline("quick"),
        frostline("classic"),
        peer("keras", VENVS / "keras" / "bin" / "python", few, 30),
        peer("fastai", VENVS / "fastai" / "bin" / "python", few, 5),
        peer("torch", FROSTLINE, few, 30),
        peer("sklearn", FROSTLINE, 1, None),
    ]
    return {tool.name: tool for tool in found}


def run(tool: Tool, seed: int) -> Measured:
    """Run one tool in an empty folder, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FROSTLINE_CACHE": str(Path(folder) / "cache")}
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            tool.command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        with _peak_memory(process.pid) as peak:
            output, _ = process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{tool.name} failed with exit code {process.returncode}")
        measured = Measured(tool.name, seed, round(seconds, 2), peak[0], tool.full_epochs)
        if tool.name.startswith("frostline"):
            measured.events = list(_frostline_events(next(Path(folder, "runs").iterdir()), seconds))
        else:
            measured.events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return measured


def _frostline_events(folder: Path, seconds: float) -> Iterator[dict[str, Any]]:
    """The timeline of a run, from its folder; its epochs end before evaluation and drawing."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    phases = metrics["seconds"]
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    after = phases["evaluate"] + phases["draw"]
    left = [sum(float(record["seconds"]) for record in records[index + 1 :]) for index in range(len(records))]
    for record, rest in zip(records, left, strict=True):
        at = round(seconds - after - rest, 2)
        yield {
            "event": "epoch",
            "seconds": at,
            "epoch": int(record["epoch"]),
            "val_accuracy": float(record["val_accuracy"]),
            "pictures_per_second": float(record["pictures_per_second"]),
        }
    yield {"event": "tested", "seconds": seconds, "test_accuracy": metrics["test"]["accuracy"], "phases": phases}


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Watch the memory of a process and its children; gives a list whose one item is the most that was seen."""
    peak = [0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            peak[0] = max(peak[0], sum(map(_proportional_bytes, _family(pid))))

    watcher = threading.Thread(target=watch)
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


def _proportional_bytes(pid: int) -> int:
    """Memory of one process, pages that it shares counted by their share; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def main() -> None:
    """Run the tools asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrays", type=Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--weights", type=Path, default=os.environ.get("FROSTLINE_WEIGHTS"), help="folder of weights")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--tools", nargs="*", help="only these")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--peer-epochs", type=int, default=2)
    parser.add_argument("--size", type=int, default=96)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for seed in options.seeds:
        for name, tool in tools(options, seed).items():
            if options.tools and name not in options.tools:
                continue
            measured = run(tool, seed)
            results.append(asdict(measured))
            last = measured.events[-1]
            print(f"{name}, seed {seed}: {measured.seconds:.0f} s, {last.get('test_accuracy')}", file=sys.stderr)
            options.results.write_text(json.dumps({"machine": machine(), "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
