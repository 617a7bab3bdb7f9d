"""cifar10-airbench's own script (Jordan 2024, arXiv:2404.00498), run beside frostline on the same card."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from frostline.data.arrays import ArrayStore
from frostline.data.sources import load_dataset

_SECONDS = 150
"""After which the script is stopped: it trains many times, and each of its trainings counts."""


def run_airbench(script: Path, data: Path) -> dict[str, Any]:
    """Seconds and test accuracy of each training that the script reports in its table.

    CIFAR-10 is laid out for it, so that it downloads nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(data, Path(folder, "cifar10"))
        command = [sys.executable, str(script.resolve())]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        try:
            done = subprocess.run(  # noqa: S603
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
            )
            output = done.stdout
        except subprocess.TimeoutExpired as stopped:
            output = (stopped.stdout or b"").decode()
        except subprocess.CalledProcessError as failed:
            raise RuntimeError(f"{script} failed: {failed.stderr.strip().splitlines()[-1:]}") from failed
    found = parse_table(output)
    if not found:
        raise RuntimeError(f"{script} printed no accuracy in {_SECONDS} s")
    return {"script": script.name, "accuracy": [a for a, _ in found], "seconds": [s for _, s in found]}


def parse_table(output: str) -> list[tuple[float, float]]:
    """Accuracy and seconds of each training: the last two columns of the rows of the table's epoch `eval`.

    A training is named in its first row alone; the one for warming up, on random labels, is left out.
    """
    found, run = [], ""
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        run = cells[0] or run
        if "eval" in cells and run != "warmup":
            found.append((float(cells[-2]), float(cells[-1])))
    return found


def _lay_out(data: Path, folder: Path) -> None:
    """Write the files that the script makes of torchvision's dataset."""
    folder.mkdir()
    dataset = load_dataset("cifar10", data_dir=data)
    store = dataset.pictures
    assert isinstance(store, ArrayStore)
    splits = np.array([sample.split for sample in dataset.samples])
    for name in ("train", "test"):
        rows = np.flatnonzero(splits == name)
        pictures = store.read_many([dataset.samples[row] for row in rows])
        content = {
            "images": torch.from_numpy(pictures),
            "labels": torch.from_numpy(dataset.targets[rows]),
            "classes": list(dataset.class_names),
        }
        torch.save(content, folder / f"{name}.pt")
