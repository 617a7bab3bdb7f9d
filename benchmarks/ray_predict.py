"""Measure `frostline predict --engine ray` against the plain path: `python benchmarks/ray_predict.py --data-dir DATA`.

CIFAR-10's training pictures are written as PNG files, and both predict all of them on this machine, with the same
classifier and the same cores. Their rows must be equal; what Ray adds to the time is its overhead.
"""

import argparse
import csv
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
from measure import RESULTS, Finished, Results, watch
from PIL import Image

from frostline.data.sources import load_dataset

TOLERANCE = 1e-6
"""Of probabilities; the table of the plain path has six digits of them."""

_TRAINING = 60
"""Pictures of each class that the classifier is trained on."""


@dataclass(frozen=True)
class Compared:
    """How far the rows of two predictions differ."""

    other_answers: int
    largest_difference: float
    """Of the probability of the first class."""


def write_pictures(folder: Path, data_dir: Path | None, count: int) -> None:
    """The first training pictures of CIFAR-10 as PNG files, in a folder for each class."""
    dataset = load_dataset("cifar10", data_dir=data_dir)
    training = [index for index, sample in enumerate(dataset.samples) if sample.split == "train"]
    for number, index in enumerate(training[:count]):
        path = folder / dataset.class_names[dataset.targets[index]] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.picture(index)).save(path)


def train(options: argparse.Namespace, folder: Path) -> Path:
    """The run of a linear probe on a few of the pictures."""
    for label in (folder / "photos").iterdir():
        (folder / "few" / label.name).mkdir(parents=True)
        for path in sorted(label.iterdir())[:_TRAINING]:
            (folder / "few" / label.name / path.name).hardlink_to(path)
    network = ["--backbone", options.backbone, "--size", str(options.size), "--trainable-layers", "0"]
    command = [sys.executable, "-m", "frostline", "train", "few", *network, "--runs-dir", "runs"]
    watch(command, folder, FROSTLINE_CACHE=str(folder / "cache"))
    return next((folder / "runs").iterdir())


def predict(run: Path, *options: object) -> Finished:
    """Predict all pictures, in a process of its own."""
    command = [sys.executable, "-m", "frostline", "predict", str(run), "photos", *map(str, options)]
    return watch(command, run.parents[1])


def compare(table: Path, parts: Path) -> Compared:
    """Compare rows in their order. Ends the program where they are about other pictures."""
    with table.open(newline="", encoding="utf-8") as file:
        plain = list(csv.DictReader(file))
    rows = pyarrow.parquet.read_table(parts).to_pylist()
    if [row["path"] for row in plain] != [row["path"] for row in rows]:
        raise SystemExit("the two predictions are about other pictures, or in another order")
    pairs = list(zip(plain, rows, strict=True))
    others = sum((one["answer"], one["class"]) != (other["answer"], other["class"]) for one, other in pairs)
    differences = (abs(float(one["probability"]) - other["probability"]) for one, other in pairs)
    return Compared(others, max(differences))


def main() -> None:
    """Measure both, compare their rows, and add the figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("FROSTLINE_DATA"))
    parser.add_argument("--pictures", nargs="*", type=int, default=[50_000])
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--results", type=Path, default=RESULTS / "ray_predict.json")
    options = parser.parse_args()
    results = Results(options.results, ("pictures", "network"))
    for count in options.pictures:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_pictures(folder / "photos", options.data_dir, count)
            run = train(options, folder)
            plain = predict(run, "--csv", "plain.csv")
            ray = predict(run, "--engine", "ray", "--output", "parts")
            compared = compare(folder / "plain.csv", folder / "parts")
        if compared.other_answers or compared.largest_difference > TOLERANCE:
            raise SystemExit(f"the rows of {count:,} pictures are not equal: {compared}")
        results.add(
            {
                "pictures": count,
                "network": f"{options.backbone} at {options.size} px",
                "plain_seconds": round(plain.seconds, 2),
                "ray_seconds": round(ray.seconds, 2),
                "overhead": round(ray.seconds / plain.seconds - 1, 4),
                "plain_peak_own_bytes": plain.peak_own_bytes,
                "ray_peak_own_bytes": ray.peak_own_bytes,
                "largest_difference": compared.largest_difference,
            }
        )
        seconds = f"{plain.seconds:,.1f} s plainly, {ray.seconds:,.1f} s with Ray"
        print(f"{count:,} pictures, rows equal: {seconds}", file=sys.stderr)


if __name__ == "__main__":
    main()
