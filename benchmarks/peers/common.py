"""What every tool of the benchmark shares: its arguments, its pictures, and how it reports time. Needs numpy alone."""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Arrays:
    """Pictures, uint8 (N, height, width, 3), and their class indices, int64 (N,)."""

    train: np.ndarray
    train_targets: np.ndarray
    val: np.ndarray
    val_targets: np.ndarray
    test: np.ndarray
    test_targets: np.ndarray

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.train_targets.max()) + 1


def load_arrays(folder: Path) -> Arrays:
    """Read the arrays that `prepare.py` wrote."""
    return Arrays(**{name: np.load(folder / f"{name}.npy") for name in Arrays.__dataclass_fields__})


def arguments(**switches: str) -> argparse.Namespace:
    """The options that every tool takes, and switches of its own with what they do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="what prepare.py wrote, or a folder of pictures")
    parser.add_argument("--backbone", default="mobilenetv2_100", help="timm's name of the network")
    parser.add_argument("--weights", type=Path, required=True, help="file of timm's weights of the backbone")
    parser.add_argument("--size", type=int, default=96, help="side of the network's input in pixels")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    for name, what in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=what)
    return parser.parse_args()


class Timeline:
    """Prints one line of JSON for each thing that is done, with the seconds since the program began."""

    def __init__(self, started: float) -> None:
        self.started = started

    def note(self, event: str, **values: Any) -> None:
        """Say what is done."""
        seconds = round(time.perf_counter() - self.started, 2)
        print(json.dumps({"event": event, "seconds": seconds, **values}), flush=True)
