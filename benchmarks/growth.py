"""Measure how the wall time of whole runs grows with pictures and with input size: `python benchmarks/growth.py`.

Each run trains on a class-balanced part of CIFAR-10, of which a tenth validates; its test split shrinks in proportion.
Options of `frostline train` can follow two dashes: `python benchmarks/growth.py -- --recipe fast --epochs 5`. Where
they leave the epochs open, larger parts have fewer.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import RESULTS, Results, run_frostline
from numpy.typing import NDArray
from scipy.optimize import nnls
from subsets import take

from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits, save_splits


@dataclass(frozen=True)
class Growth:
    """Seconds as start + factor * amount ** exponent."""

    start: float
    factor: float
    exponent: float

    def __call__(self, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds for these amounts."""
        return self.start + self.factor * amounts**self.exponent


def fit_growth(amounts: Sequence[float], seconds: Sequence[float]) -> Growth:
    """The curve of least squared relative errors, its start and factor not below 0."""
    values, times = np.array(amounts, float), np.array(seconds, float)

    def solve(exponent: float) -> tuple[NDArray[np.float64], float]:
        columns = np.stack([np.ones_like(times), (values / values.max()) ** exponent], axis=1)
        solution, residual = nnls(columns / times[:, None], np.ones_like(times))
        return solution, residual

    exponent = float(min(np.arange(0.01, 4, 0.01), key=lambda tried: solve(tried)[1]))
    (start, factor), _ = solve(exponent)
    return Growth(float(start), float(factor / values.max() ** exponent), exponent)


def fit_slope(amounts: Sequence[float], seconds: Sequence[float]) -> Growth:
    """The line of least squares through the logarithms, without a start."""
    exponent, logarithm = np.polyfit(np.log(amounts), np.log(seconds), 1)
    return Growth(0.0, float(np.exp(logarithm)), float(exponent))


@dataclass(frozen=True)
class Case:
    """One run: how many pictures, and the input size where it is not the default one."""

    axis: str
    """What grows: `pictures` or `size`."""
    pictures: int
    size: int | None = None


def cases(pictures: Sequence[int], sizes: Sequence[int], fixed: int) -> Iterator[Case]:
    """The runs with growing pictures, then those with growing input size."""
    yield from (Case("pictures", count) for count in pictures)
    yield from (Case("size", fixed, size) for size in sizes)


def measure(results: Results, case: Case, options: Sequence[str], repeat: int) -> None:
    """Run one training and add its figures."""
    dataset = load_dataset("cifar10")
    with tempfile.TemporaryDirectory() as folder:
        splits = Path(folder, "splits.csv")
        save_splits(take(dataset, make_splits(dataset), case.pictures), dataset, splits)
        size = () if case.size is None else ("--size", case.size)
        run = run_frostline("cifar10", *options, "--splits", splits, *size)
    results.add(
        {
            "options": " ".join(options),
            "axis": case.axis,
            "pictures": case.pictures,
            "size": run.config["size"],
            "repeat": repeat,
            "epochs": run.metrics["epochs"],
            "network": run.network,
            "seconds": run.seconds,
            "peak_bytes": run.peak_bytes,
            "phases": run.metrics["seconds"],
            "test_accuracy": run.metrics["test"]["accuracy"],
        }
    )
    print(f"{case.pictures:,} pictures at {run.config['size']} px: {run.seconds:.1f} s", file=sys.stderr)


def main() -> None:
    """Run the trainings asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", default=["--recipe", "fast"], help="of `frostline train`, after --")
    parser.add_argument("--pictures", nargs="*", type=int, default=[1_000, 5_000, 20_000, 50_000])
    parser.add_argument("--sizes", nargs="*", type=int, default=[64, 96, 128, 160])
    parser.add_argument("--fixed-pictures", type=int, default=5_000, help="where the input size grows")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS / "growth.json")
    options = parser.parse_args()
    results = Results(options.results, ("options", "axis", "pictures", "size", "repeat"))
    for repeat in range(options.repeats):
        for case in cases(options.pictures, options.sizes, options.fixed_pictures):
            measure(results, case, options.options, repeat)


if __name__ == "__main__":
    main()
