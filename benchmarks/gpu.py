"""Measure frostline on one GPU in minutes, with nothing from a network: `python benchmarks/gpu.py --data FOLDER ...`.

CIFAR-10 is read from `--data` and weights from `--weights`; frostline may be its source alone (PYTHONPATH=src). Each
row has its target in `report_gpu.py`. Pretraining is not counted. Rows are kept one by one: what fails, or is not
reached in `--minutes`, is not measured. With `--device cpu --pictures 2000` and small settings it runs on any machine.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gpu_airbench import run_airbench
from gpu_training import machine, prepare

from frostline.errors import FrostlineError
from frostline.files import atomic_write
from frostline.progress import quiet

RESULTS = Path(__file__).parent / "results"

GOALS: Mapping[str, Mapping[str, Any]] = {
    "accuracy": {"size": 128, "epochs": 12},
    "fast": {"size": 96, "epochs": 1},
    "faster": {"size": 128, "epochs": 4},
}
"""Options of the trainings that have an accuracy to reach; chosen without a GPU at hand."""

RATE_SIZE = 128
"""Side of the pictures, in pixels, whose rates are measured."""

Options = argparse.Namespace
Row = dict[str, Any]


def measure_goal(name: str, options: Options) -> Row:
    """Train to the goal's accuracy, cold, then for each seed, the first one twice."""
    training = prepare(options, options.backbone if name == "accuracy" else options.best, GOALS[name])
    cold = training.run(seed=0)
    warm = [training.run(seed) for seed in (0, *range(options.seeds))]
    again, first, *_ = warm
    return {
        **training.about,
        "cold_seconds": cold.seconds,
        "seconds": [run.seconds for run in warm],
        "accuracy": [run.accuracy for run in warm[1:]],
        "repeats_bit_for_bit": again.losses == first.losses,
        "loss_difference": max(abs(a - b) for a, b in zip(again.losses, first.losses, strict=True)),
    }


def measure_rates(options: Options) -> Row:
    """Pictures/s of training the whole network from what is on the device, and end to end; and of frozen layers."""
    training = prepare(options, options.backbone, {"size": RATE_SIZE, "epochs": 3})
    return {**training.about, **training.rates(), **measure_frozen(options)}


def measure_frozen(options: Options) -> Row:
    """Pictures/s of the whole backbone, frozen."""
    training = prepare(options, options.backbone, {"size": RATE_SIZE, "epochs": 1, "trainable_layers": 0})
    cold, rate = training.frozen_rate()
    return {"frozen_cold_seconds": cold, "frozen": rate}


def read_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with CIFAR-10 as its authors pack it")
    parser.add_argument("--weights", type=Path, help="folder with BACKBONE.safetensors; without: random weights")
    parser.add_argument("--backbone", default="mobilenetv2_100", help="of all rows but fast and faster")
    parser.add_argument("--best", default="mobilenetv2_100", help="backbone of the rows fast and faster")
    parser.add_argument("--airbench", type=Path, help="cifar10-airbench's script, to run beside it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", nargs="*", choices=[*GOALS, "rates", "airbench"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=int, help="of the training and of the test split; else all")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--size", type=int, help="side of the pictures, instead of each row's own")
    parser.add_argument("--epochs", type=int, help="instead of each row's own")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--minutes", type=float, default=9, help="after which no row is begun")
    parser.add_argument("--results", type=Path, default=RESULTS / "gpu.json")
    return parser.parse_args()


def main() -> None:
    """Measure the rows asked for, and write the figures of all of them after each one."""
    options = read_options()
    if options.weights is not None:
        os.environ["FROSTLINE_WEIGHTS"] = str(options.weights)
    measures: dict[str, Callable[[], Row]] = {name: partial(measure_goal, name, options) for name in GOALS}
    measures["rates"] = partial(measure_rates, options)
    if options.airbench is not None:
        measures["airbench"] = partial(run_airbench, options.airbench, options.data)
    chosen = {name: measure for name, measure in measures.items() if options.rows is None or name in options.rows}
    failures = measure_all(chosen, options)
    if failures:
        raise SystemExit("\n".join(["these failed:", *failures]))


def measure_all(measures: Mapping[str, Callable[[], Row]], options: Options) -> list[str]:
    """Write the figures of all rows so far after each one; returns what failed, and why."""
    started = time.monotonic()
    content: dict[str, Any] = {"machine": machine(options.device), "pictures": options.pictures, "rows": {}}
    failures = []
    for name, measure in measures.items():
        if time.monotonic() - started > 60 * options.minutes:
            failures.append(f"{name}: no time was left")
            continue
        try:
            with quiet():
                content["rows"][name] = measure()
        except (FrostlineError, OSError, RuntimeError) as error:
            failures.append(f"{name}: {error}")
            continue
        print(name, json.dumps(content["rows"][name]), file=sys.stderr, flush=True)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(options.results) as file:
            json.dump(content, file, indent=1)
            file.write("\n")
    return failures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FROSTLINE_CACHE"] = folder
        main()
