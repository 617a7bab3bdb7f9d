"""Measure the peak memory of whole trainings, and whether it grows with the pictures: `python benchmarks/memory.py`.

The growing datasets are folders of made JPEG pictures, no two files alike, which are removed afterwards. Their options
are chosen such that 100,000 pictures take minutes: 64 px, and a linear probe or one epoch.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import RESULTS, Results, run_frostline
from PIL import Image

CIFAR = ("cifar10", "--size", 128, "--views", 4, "--epochs", 4)
CASES = {
    "quick": ("--recipe", "quick", "--size", 64),
    "train": ("--size", 64, "--epochs", 1),
}
"""Options of `frostline train` for the growing folders."""

SIDE = 256
CLASSES = 10
_DIFFERENT = 200
"""Pictures that are drawn; their copies differ in a comment."""


def draw_pictures() -> list[bytes]:
    """Encoded JPEG pictures of soft noise, each class about a colour of its own."""
    rng = np.random.default_rng(0)
    encoded = []
    for number in range(_DIFFERENT):
        colour = np.random.default_rng([1, number % CLASSES]).uniform(60, 200, 3)
        coarse = np.clip(rng.normal(colour, 40, (SIDE // 8, SIDE // 8, 3)), 0, 255).astype(np.uint8)
        fine = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(fine) + rng.normal(0, 6, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(noisy).save(stream, "JPEG", quality=85)
        encoded.append(stream.getvalue())
    return encoded


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The same JPEG picture with a comment after its first marker."""
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def growing_folder(counts: list[int]) -> Iterator[tuple[int, Path]]:
    """A folder of pictures, a folder a class in it, that grows to each of the counts."""
    drawn = draw_pictures()
    with tempfile.TemporaryDirectory() as place:
        folder, written = Path(place, "pictures"), 0
        for name in range(CLASSES):
            (folder / f"class-{name}").mkdir(parents=True)
        for count in sorted(counts):
            for number in range(written, count):
                path = folder / f"class-{number % CLASSES}" / f"{number:06}.jpg"
                path.write_bytes(with_comment(drawn[number % _DIFFERENT], b"%d" % number))
            written = count
            yield count, folder


def measure(results: Results, case: str, pictures: int, source: object, options: tuple[object, ...]) -> None:
    """Run one training and add its figures."""
    run = run_frostline(source, *options)
    results.add(
        {
            "case": case,
            "pictures": pictures,
            "options": " ".join(map(str, options)),
            "network": run.network,
            "peak_bytes": run.peak_bytes,
            "peak_own_bytes": run.peak_own_bytes,
            "seconds": run.seconds,
            "phases": run.metrics["seconds"],
        }
    )
    sizes = f"{run.peak_bytes / 1e9:.2f} GB, {run.peak_own_bytes / 1e9:.2f} GB without files"
    print(f"{case}, {pictures:,} pictures: {sizes}, {run.seconds:.0f} s", file=sys.stderr)


def main() -> None:
    """Measure the cases asked for, and add their figures to the file."""
    names = ("cifar10", *CASES)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=names, default=names)
    parser.add_argument("--pictures", nargs="*", type=int, default=[10_000, 30_000, 100_000])
    parser.add_argument("--results", type=Path, default=RESULTS / "memory.json")
    options = parser.parse_args()
    results = Results(options.results, ("case", "pictures"))
    if "cifar10" in options.cases:
        measure(results, "cifar10", 60_000, CIFAR[0], CIFAR[1:])
    cases = [name for name in CASES if name in options.cases]
    if cases:
        for count, folder in growing_folder(options.pictures):
            for case in cases:
                measure(results, case, count, folder, CASES[case])


if __name__ == "__main__":
    main()
