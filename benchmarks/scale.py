"""Measure what a plan for many pictures is made from: `python benchmarks/scale.py`.

The rates are those that `--time-limit` plans by, each measured apart: decoding, the trunk with its view, the tail with
and without training. The photographs are those of ants and bees, of about 500 x 375 pixels; CIFAR-10's pictures, whose
decoding is nothing, stand for thumbnails.
"""

import argparse
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path

import torch
from measure import RESULTS, Results
from PIL import Image

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits
from frostline.training.rates import measure_rates
from frostline.training.setup import build_model, load_configured_backbone

SOURCES = {"photographs": ("hymenoptera.zip", 224), "thumbnails": ("cifar-10-binary.tar.gz", 96)}
"""File in FROSTLINE_DATA, and the side of the network's input."""

_LISTED = 20_000

BACKBONES = ("tf_efficientnet_lite0", "mobilenetv2_100")


def activation_bytes(dataset: Dataset, config: TrainConfig) -> int:
    """What one picture takes in the cache, under one view, in float16."""
    backbone, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, backbone, config)
    return 2 * model.engine(torch.zeros(1, 3, backbone.size, backbone.size)).numel()


def listing_bytes() -> int:
    """What a folder's listing takes in the memory of each process, for one picture."""
    with tempfile.TemporaryDirectory() as place:
        first = Path(place, "first.jpg")
        Image.new("RGB", (8, 8)).save(first)
        for number in range(_LISTED):
            folder = Path(place, "photos", f"class {number % 10}")
            folder.mkdir(parents=True, exist_ok=True)
            os.link(first, folder / f"{number:08}.jpg")
        first.unlink()
        tracemalloc.start()
        dataset = load_dataset(Path(place, "photos"))
        splits = make_splits(dataset)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert len(splits.train) < len(dataset) == _LISTED
    return size // _LISTED


def measure(results: Results, pictures: str, backbone: str, repeat: int) -> None:
    """Measure one kind of picture with one backbone, and add the figures."""
    file, size = SOURCES[pictures]
    archive = Path(os.environ["FROSTLINE_DATA"], file)
    dataset = load_dataset(archive) if pictures == "photographs" else load_dataset("cifar10")
    config = TrainConfig.make(backbone=backbone, size=size)
    rates = measure_rates(dataset, make_splits(dataset), config)
    entry = {
        "pictures": pictures,
        "backbone": backbone,
        "size": size,
        "repeat": repeat,
        "per_second": {part: round(getattr(rates, part), 1) for part in ("decode", "trunk", "body", "train", "probe")},
        "activation_bytes": activation_bytes(dataset, config),
        "file_bytes": round(archive.stat().st_size / len(dataset)),
        "listing_bytes": listing_bytes(),
    }
    print(entry, file=sys.stderr)
    results.add(entry)


def main() -> None:
    """Measure what is asked for, in turns, and add the figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", nargs="*", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--backbones", nargs="*", choices=BACKBONES, default=BACKBONES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / "scale.json")
    options = parser.parse_args()
    results = Results(options.results, ("pictures", "backbone", "repeat"))
    for repeat in range(options.repeats):
        for pictures in options.pictures:
            for backbone in options.backbones:
                measure(results, pictures, backbone, repeat)


if __name__ == "__main__":
    main()
