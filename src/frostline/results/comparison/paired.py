"""Whether two classifiers differ by more than chance, judged on the same pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

RESAMPLES = 10_000
"""Of the bootstrap."""

SIGNIFICANT = 0.05
"""p-value below which a difference is called one."""

_AT_ONCE = 1_000_000
"""Values that are drawn in one go: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The second classifier's figure less the first's."""

    value: float
    low: float
    """Lower end of its 95% interval: a paired bootstrap over pictures, by percentiles (Efron, 1979)."""
    high: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures by who is right about them."""

    both: int
    first: int
    """Only the first classifier is right."""
    second: int
    neither: int

    @classmethod
    def count(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> "Pairs":
        """From whether each classifier is right, shape (pictures,) each."""
        counts = (first & second, first & ~second, ~first & second, ~first & ~second)
        return cls(*(int(each.sum()) for each in counts))


def mcnemar(pairs: Pairs) -> float:
    """The exact two-sided p-value of McNemar's test (1947): of the discordant pictures, each is right on half."""
    discordant = pairs.first + pairs.second
    return float(binomtest(pairs.second, discordant).pvalue) if discordant else 1.0


def accuracy_difference(pairs: Pairs, seed: int = 0) -> Difference:
    """The difference of accuracy. Resampled pictures enter it only by their four counts, which are multinomial."""
    counts = np.array([pairs.both, pairs.first, pairs.second, pairs.neither])
    pictures = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(pictures, counts / pictures, size=RESAMPLES)
    return _difference((pairs.second - pairs.first) / pictures, (drawn[:, 2] - drawn[:, 1]) / pictures)


def mean_difference(first: NDArray[np.float64], second: NDArray[np.float64], seed: int = 0) -> Difference:
    """The difference of the means of a figure that each picture has, shape (pictures,) each."""
    differences = second - first
    generator = np.random.default_rng(seed)
    resamples = max(1, _AT_ONCE // len(differences))
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, resamples):
        part = means[start : start + resamples]
        rows = generator.integers(len(differences), size=(len(part), len(differences)), dtype=np.int32)
        differences[rows].mean(axis=1, out=part)
    return _difference(float(differences.mean()), means)


def _difference(value: float, resampled: NDArray[np.float64]) -> Difference:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Difference(value, float(low), float(high))
