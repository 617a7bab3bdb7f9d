"""Measure how many planted copies of pictures frostline finds, and how many others: `python benchmarks/duplicates.py`.

Pictures that the dataset itself holds more than once are counted apart. So that they cannot hide false alarms, they are
listed with the results, to be looked at.
"""

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from features import compute_features
from measure import RESULTS, Results
from PIL import Image

from frostline.data.archives import MemoryStore
from frostline.data.audit.duplicates import DuplicateGroup, find_duplicates
from frostline.data.audit.leakage import find_leakage
from frostline.data.audit.thumbnails import fingerprint
from frostline.data.dataset import Dataset, Sample, SplitName
from frostline.data.sources import load_dataset

SIZE = 96
"""Input of the backbone, in pixels."""

KINDS: dict[str, Callable[[Image.Image, np.random.Generator], bytes]] = {
    "exact": lambda image, _: encode(image, "BMP"),
    "png": lambda image, _: encode(image, "PNG", compress_level=9),
    "jpeg 40": lambda image, _: encode(image, "JPEG", quality=40),
    "resized 60%": lambda image, _: encode(image.resize((scaled(image.width, 0.6), scaled(image.height, 0.6)))),
    "cropped 10%": lambda image, rng: encode(crop(image, rng)),
    "flipped": lambda image, _: encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "brighter 20%": lambda image, _: encode(image.point(lambda level: min(255, round(1.2 * level)))),
}
"""What makes a copy's file; `exact` has the same pixels in another format, `png` is saved again."""


@dataclass(frozen=True)
class Planted:
    """Pictures with copies of some of them behind."""

    dataset: Dataset
    originals: int
    copies: dict[tuple[int, int], str]
    """Kind by the indices of original and copy."""


def encode(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def scaled(side: int, scale: float) -> int:
    """A side in whole pixels."""
    return max(1, round(side * scale))


def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Nine tenths of each side, anywhere."""
    width, height = scaled(image.width, 0.9), scaled(image.height, 0.9)
    left, top = (int(rng.integers(room + 1)) for room in (image.width - width, image.height - height))
    return image.crop((left, top, left + width, top + height))


def plant(dataset: Dataset, pictures: int, copies: int, seed: int = 0) -> Planted:
    """Draw pictures, and put copies of every kind behind them, every other one in the other split."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(dataset))[:pictures])
    files: dict[str, bytes] = {}
    samples: list[Sample] = []
    truth: dict[tuple[int, int], str] = {}

    def add(name: str, content: bytes, target: int, split: SplitName) -> None:
        files[name] = content
        samples.append(Sample(name, target, split))

    for place, index in enumerate(chosen):
        add(f"{place}", encode(Image.fromarray(dataset.picture(index))), dataset.samples[index].target, "train")
    names = list(KINDS)
    for number, place in enumerate(rng.permutation(len(chosen))[:copies]):
        kind = names[number % len(names)]
        original = dataset.picture(int(chosen[place]))
        split: SplitName = "test" if number // len(names) % 2 else "train"
        truth[int(place), len(samples)] = kind
        target = dataset.samples[chosen[place]].target
        add(f"copy {number}", KINDS[kind](Image.fromarray(original), rng), target, split)
    made = Dataset(dataset.name, dataset.source, tuple(samples), dataset.class_names, MemoryStore(files))
    return Planted(made, len(chosen), truth)


def find(planted: Planted) -> tuple[tuple[DuplicateGroup, ...], dict[str, float]]:
    """The groups that frostline finds, and the seconds that it takes."""
    started = time.perf_counter()
    features = compute_features(planted.dataset, SIZE)
    with_features = time.perf_counter()
    fingerprints = [fingerprint(planted.dataset.picture(index)) for index in range(len(planted.dataset))]
    with_fingerprints = time.perf_counter()
    groups = find_duplicates(fingerprints, features)
    seconds = {
        "features": with_features - started,
        "fingerprints": with_fingerprints - with_features,
        "search": time.perf_counter() - with_fingerprints,
    }
    return groups, {name: round(value, 2) for name, value in seconds.items()}


def judge(planted: Planted, groups: tuple[DuplicateGroup, ...]) -> dict[str, Any]:
    """Recall by kind, and precision over the copies; pairs of two originals are listed apart.

    A pair is right that links a copy with its own original, or with one that is in a group with it: a copy of a picture
    that the dataset holds twice is a copy of both.
    """
    pairs = {pair for group in groups for pair in combinations(group.indices, 2)}
    original = {copy: place for place, copy in planted.copies}
    own = [pair for pair in pairs if pair[1] < planted.originals]
    linked = pairs - set(own)
    twins = set(own) | {(place, place) for place in range(planted.originals)}
    sources = {pair: tuple(sorted(original.get(index, index) for index in pair)) for pair in linked}
    right = [pair for pair in linked if sources[pair] in twins]
    found = Counter(kind for pair, kind in planted.copies.items() if pair in pairs)
    made = Counter(planted.copies.values())
    splits = [sample.split for sample in planted.dataset.samples]
    return {
        "recall_by_kind": {kind: found[kind] / made[kind] for kind in made},
        "recall": found.total() / made.total(),
        "precision": len(right) / max(1, len(linked)),
        "wrong": [list(pair) for pair in linked if sources[pair] not in twins],
        "pairs_of_originals": [[planted.dataset.samples[index].path for index in pair] for pair in sorted(own)],
        "copies_in_test": sum(splits[copy] == "test" for _, copy in planted.copies),
        "test_pictures_affected": len(find_leakage(groups, splits).affected["test"]),
    }


def main() -> None:
    """Plant copies in a source, look for them, and add the figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=["cifar10"], help="names, folders or archives")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--copies", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS / "duplicates.json")
    options = parser.parse_args()
    results = Results(options.results, ("dataset", "seed"))
    for source in options.sources:
        planted = plant(load_dataset(source), options.pictures, options.copies, options.seed)
        groups, seconds = find(planted)
        about = {"dataset": planted.dataset.name, "seed": options.seed, "pictures": planted.originals}
        entry = {**about, "copies": len(planted.copies), "seconds": seconds, **judge(planted, groups)}
        print(entry, file=sys.stderr)
        results.add(entry)


if __name__ == "__main__":
    main()
