"""Train on the same pictures with frostline and with what people use today, and keep the figures as JSON.

Each tool is a process of its own, timed from its start to its test accuracy, everything included. A tool that needs
hours is given few epochs: `report.py` says how its total follows from them.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import HERE, RESULTS, FailedError, FrostlineRun, Results, run_frostline, watch

VENVS = HERE / ".venvs"


@dataclass(frozen=True)
class Measured:
    """What one run of a tool came to."""

    tool: str
    seed: int
    network: str
    seconds: float
    peak_bytes: int
    events: list[dict[str, Any]]
    """What was reached when: `ready`, each `epoch` with its validation accuracy, `tested` with the test accuracy."""
    whole_epochs: int
    """Epoch events of a whole training, which may be more than were run."""


@dataclass(frozen=True)
class Peer:
    """Another tool: the script that drives it, and the Python that has it."""

    script: str
    python: Path = field(default_factory=lambda: Path(sys.executable))
    epochs: int = 1
    """Of a whole training, as the tool is used."""
    extra_epochs: int = 0
    """Epochs that the tool adds to those that it is asked for."""


FROSTLINE = {
    "frostline quick": ("--recipe", "quick"),
    "frostline fast": ("--recipe", "fast"),
    "frostline best": ("--recipe", "best"),
    "frostline classic": ("--recipe", "classic"),
    "frostline quick, MobileNetV2": ("--recipe", "quick", "--backbone", "mobilenetv2_100"),
    "frostline fast, MobileNetV2": ("--recipe", "fast", "--backbone", "mobilenetv2_100"),
    "frostline best, MobileNetV2": ("--recipe", "best", "--backbone", "mobilenetv2_100"),
    "frostline 1 epoch, MobileNetV2": (
        *("--recipe", "fast", "--backbone", "mobilenetv2_100"),
        *("--size", "96", "--trainable-layers", "60", "--epochs", "1"),
    ),
}
"""Options of `frostline train`."""

PEERS = {
    "sklearn": Peer("sklearn_script.py"),
    "keras": Peer("keras_script.py", VENVS / "keras" / "bin" / "python", epochs=30),
    "fastai": Peer("fastai_script.py", VENVS / "fastai" / "bin" / "python", epochs=5, extra_epochs=1),
    "torch": Peer("torch_script.py", epochs=30),
}

Options = argparse.Namespace


def run(name: str, options: Options, seed: int) -> Measured:
    """Run any of the tools."""
    return run_own(name, options, seed) if name in FROSTLINE else run_peer(name, options, seed)


def run_own(name: str, options: Options, seed: int) -> Measured:
    """Run frostline on the split that the others have."""
    splits = (options.arrays / "splits.csv").resolve()
    done = run_frostline("cifar10", *FROSTLINE[name], "--splits", splits, "--seed", seed)
    epochs = int(done.metrics["epochs"])
    return Measured(name, seed, done.network, done.seconds, done.peak_bytes, events_of(done), epochs)


def events_of(run: FrostlineRun) -> list[dict[str, Any]]:
    """When each epoch of a run ended: all ended before evaluation and drawing."""
    phases = run.metrics["seconds"]
    ends = run.seconds - phases["evaluate"] - phases["draw"]
    events: list[dict[str, Any]] = []
    for record in reversed(run.history):
        what = {"event": "epoch" if record["epoch"] else "probe", "seconds": round(ends, 2)}
        events.insert(0, {**what, "epoch": int(record["epoch"]), "val_accuracy": record["val_accuracy"]})
        ends -= record["seconds"]
    tested = {"event": "tested", "seconds": run.seconds, "test_accuracy": run.metrics["test"]["accuracy"]}
    return [*events, {**tested, "phases": phases}]


def run_peer(name: str, options: Options, seed: int) -> Measured:
    """Run another tool, for its whole training or for few epochs."""
    peer = PEERS[name]
    epochs = min(options.peer_epochs or peer.epochs, peer.epochs)
    arguments = {
        "--data": options.arrays.resolve(),
        "--weights": (options.weights / "mobilenetv2_100.safetensors").resolve(),
        "--size": options.size,
        "--epochs": epochs,
        "--seed": seed,
    }
    command = [peer.python, HERE / "peers" / peer.script, *(word for pair in arguments.items() for word in pair)]
    with TemporaryDirectory() as folder:
        finished = watch(list(map(str, command)), Path(folder))
    events = [json.loads(line) for line in finished.output.splitlines() if line.startswith("{")]
    network = f"mobilenetv2_100 at {options.size} px"
    seconds, whole = round(finished.seconds, 2), peer.epochs + peer.extra_epochs
    return Measured(name, seed, network, seconds, finished.peak_bytes, events, whole)


def count_pictures(arrays: Path) -> dict[str, int]:
    """How many pictures each split has."""
    return {name: len(np.load(arrays / f"{name}_targets.npy")) for name in ("train", "val", "test")}


def read_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrays", type=Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--weights", type=Path, help="folder with mobilenetv2_100.safetensors; else FROSTLINE_WEIGHTS")
    parser.add_argument("--results", type=Path, default=RESULTS / "compare.json")
    parser.add_argument("--tools", nargs="*", default=[*FROSTLINE, *PEERS], choices=[*FROSTLINE, *PEERS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--peer-epochs", type=int, default=2, help="epochs of the slow tools; 0: whole trainings")
    parser.add_argument("--size", type=int, default=96, help="side of the peers' input in pixels")
    options = parser.parse_args()
    if options.weights is None:
        if "FROSTLINE_WEIGHTS" not in os.environ:
            parser.error("name the folder with mobilenetv2_100.safetensors by --weights or FROSTLINE_WEIGHTS")
        options.weights = Path(os.environ["FROSTLINE_WEIGHTS"])
    return options


def main() -> None:
    """Run the tools asked for, one seed after another, and add their figures to the file."""
    options = read_options()
    results = Results(options.results, ("tool", "seed"), count_pictures(options.arrays))
    failures = []
    for seed in options.seeds:
        for name in options.tools:
            try:
                measured = run(name, options, seed)
            except (FailedError, OSError) as error:
                failures.append(f"{name}, seed {seed}: {error}")
                print(failures[-1], file=sys.stderr)
                continue
            results.add(asdict(measured))
            accuracy = measured.events[-1]["test_accuracy"]
            print(f"{name}, seed {seed}: {measured.seconds:.0f} s, test accuracy {accuracy:.4f}", file=sys.stderr)
    if failures:
        raise SystemExit("\n".join(["these failed:", *failures]))


if __name__ == "__main__":
    main()
