"""Train on few pictures with frostline and with what people use today: `python benchmarks/fewshot.py`.

Every tool is given the same folder of drawn pictures, the same backbone with the same weights and the same size, and is
a process of its own, timed from its start to its test accuracy. Options of `frostline train` can follow two dashes; to
choose among them there is `--held-out`, which measures on training pictures that no draw has.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from compare import VENVS
from measure import HERE, RESULTS, FailedError, Results, run_frostline, watch
from safetensors.torch import save_file
from shots import draw, parts, write_folder

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.named.registry import NAMED
from frostline.data.sources import load_dataset
from frostline.model.backbone import load_backbone
from frostline.training.defaults import default_size


@dataclass(frozen=True)
class Source:
    """How much is drawn and measured of each class of a dataset."""

    shots: tuple[int, ...]
    """Training pictures."""
    held_out: int
    """Training pictures to measure settings on."""
    test: int | None = None
    """Test pictures; None: all."""


SOURCES = {"cifar10": Source((5, 10, 100), 200, 200), "hymenoptera": Source((5, 10, 50), 70)}


@dataclass(frozen=True)
class Peer:
    """Another tool: the script that drives it, and the Python that has it."""

    script: str
    python: Path = field(default_factory=lambda: Path(sys.executable))
    batch_size: int = 64
    epochs: int | None = None
    """None: as many as take about a minute on two cores."""
    switches: tuple[str, ...] = ()
    """Of the script's own."""


FASTAI = VENVS / "fastai" / "bin" / "python"

FROSTLINE = {"frostline": (), "frostline quick": ("--recipe", "quick")}
"""Options of `frostline train`."""

PEERS = {
    "sklearn": Peer("sklearn_folder.py", epochs=1),
    "sklearn, standardised": Peer("sklearn_folder.py", epochs=1, switches=("--standardise",)),
    "fastai": Peer("fastai_folder.py", FASTAI, epochs=5),
    "fastai, a minute": Peer("fastai_folder.py", FASTAI),
    "timm, a minute": Peer("timm_train.py", batch_size=128),
    "timm": Peer("timm_train.py", batch_size=128, epochs=300),
}

MINUTE = 3_000 * 96**2
"""Pixels of input that a whole MobileNetV2 or EfficientNet-Lite0 trains on in about a minute, on two cores."""


@dataclass(frozen=True)
class Case:
    """What every tool is given."""

    dataset: str
    shots: int
    seed: int
    backbone: str
    size: int
    pictures: int


@dataclass(frozen=True)
class Measured:
    """What one run of a tool came to."""

    epochs: int
    test_accuracy: float
    seconds: float
    trained_seconds: float
    """Until the training was done, before the test."""
    peak_bytes: int


def run_own(case: Case, folder: Path, options: Sequence[str]) -> Measured:
    """Run frostline."""
    run = run_frostline(folder, "--backbone", case.backbone, "--seed", case.seed, *options)
    phases = run.metrics["seconds"]
    trained = run.seconds - phases["evaluate"] - phases["draw"]
    accuracy, epochs = run.metrics["test"]["accuracy"], int(run.metrics["epochs"])
    return Measured(epochs, accuracy, run.seconds, round(trained, 2), run.peak_bytes)


def run_peer(peer: Peer, case: Case, folder: Path, weights: Path) -> Measured:
    """Run another tool."""
    epochs = peer.epochs or max(1, round(MINUTE / (case.pictures * case.size**2)))
    arguments = {
        "--data": folder,
        "--backbone": case.backbone,
        "--weights": weights,
        "--size": case.size,
        "--epochs": epochs,
        "--batch-size": peer.batch_size,
        "--seed": case.seed,
    }
    command = [peer.python, HERE / "peers" / peer.script, *(word for pair in arguments.items() for word in pair)]
    command += peer.switches
    with TemporaryDirectory() as empty:
        finished = watch(list(map(str, command)), Path(empty))
    events = {event["event"]: event for event in map(json.loads, finished.output.splitlines())}
    accuracy, trained = events["tested"]["test_accuracy"], events["trained"]["seconds"]
    return Measured(epochs, accuracy, round(finished.seconds, 2), trained, finished.peak_bytes)


def measure(options: argparse.Namespace, name: str, results: Results, folder: Path) -> list[str]:
    """Run the tools on every draw of one dataset, and return what failed; weights and draws are kept in a folder."""
    dataset, source = load(name), SOURCES[name]
    pool, test = parts(dataset)
    test = test if source.test is None else draw(dataset, test, source.test, 0)
    if options.held_out:
        test = draw(dataset, pool, source.held_out, 0)
        pool = np.setdiff1d(pool, test)
    size = options.size or default_size(TrainConfig(backbone=options.backbone), dataset)
    weights = folder / "weights.safetensors"
    save_file(load_backbone(options.backbone, size=size).module.state_dict(), weights)
    failures = []
    for shots in options.shots or source.shots:
        for seed in options.seeds:
            train = draw(dataset, pool, shots, seed)
            case = Case(name, shots, seed, options.backbone, size, len(train))
            pictures = folder / f"{name}-{shots}-{seed}"
            write_folder(dataset, train, test, pictures)
            for tool in options.tools:
                try:
                    measured = run_tool(tool, case, pictures, weights, options.options)
                except (FailedError, OSError) as error:
                    failures.append(f"{tool}, {case}: {error}")
                    continue
                called = " ".join([tool, *(options.options if tool in FROSTLINE else ())])
                results.add({**asdict(case), "tool": called, **asdict(measured)})
                print(f"{name}, {shots} a class, seed {seed}: {called}: {measured}", file=sys.stderr)
    return failures


def run_tool(tool: str, case: Case, pictures: Path, weights: Path, options: Sequence[str]) -> Measured:
    """Run any of the tools."""
    if tool in FROSTLINE:
        return run_own(case, pictures, (*FROSTLINE[tool], *options))
    return run_peer(PEERS[tool], case, pictures, weights)


def load(name: str) -> Dataset:
    """The dataset of this name, or the archive of this name in the folder of datasets."""
    return load_dataset(name if name in NAMED else Path(os.environ["FROSTLINE_DATA"], f"{name}.zip"))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", help="of `frostline train`, after --")
    parser.add_argument("--datasets", nargs="*", default=[*SOURCES], choices=[*SOURCES])
    parser.add_argument("--shots", nargs="*", type=int, help="training pictures of each class")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4], help="of the draw and of the training")
    parser.add_argument("--tools", nargs="*", default=[*FROSTLINE, *PEERS], choices=[*FROSTLINE, *PEERS])
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, help="of the peers' input, in pixels; else as frostline chooses it")
    parser.add_argument("--held-out", action="store_true", help="measure on held-out training pictures")
    parser.add_argument("--results", type=Path, help="else fewshot.json, or fewshot-held-out.json")
    return parser.parse_args()


def main() -> None:
    """Run the tools asked for, and add their figures to the file."""
    options = read_options()
    default = RESULTS / ("fewshot-held-out.json" if options.held_out else "fewshot.json")
    settings = {"measured_on": "held-out training pictures" if options.held_out else "test pictures"}
    key = ("dataset", "shots", "seed", "backbone", "size", "tool")
    results = Results(options.results or default, key, settings)
    failures = []
    for name in options.datasets:
        with TemporaryDirectory() as folder:
            failures += measure(options, name, results, Path(folder))
    if failures:
        raise SystemExit("\n".join(["these failed:", *failures]))


if __name__ == "__main__":
    main()
