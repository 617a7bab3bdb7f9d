"""Pictures far from all classes: their nearest neighbours are much further away than those of other pictures.

The distance to the k nearest neighbours as a score of novelty: Ramaswamy, Rastogi and Shim (2000), and on features of
deep networks Sun et al. (2022, arXiv:2204.06507).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.data.audit.neighbours import NEIGHBOURS, find_neighbours

LEAST_DEVIATIONS = 5.0
"""From which on a picture is an outlier."""

_CHUNK = 1024
"""Pictures whose neighbours' features are gathered at once."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A picture that is like no other."""

    index: int
    distance: float
    """Mean cosine distance of its features to those of its nearest neighbours, from 0 to 2."""
    deviations: float
    """How far that is above the median of all pictures, in robust standard deviations."""


def find_outliers(features: NDArray[np.float32], neighbours: NDArray[np.int64] | None = None) -> tuple[Outlier, ...]:
    """Pictures, by their features (pictures, features), that are far from all others, the furthest first.

    `neighbours` are the `NEIGHBOURS` nearest of each picture; they are searched where they are not given.
    """
    if len(features) <= NEIGHBOURS:
        return ()
    if neighbours is None:
        neighbours = find_neighbours(features, NEIGHBOURS)
    distances = mean_distances(features, neighbours)
    deviations = robust_deviations(distances)
    found = np.flatnonzero(deviations >= LEAST_DEVIATIONS)
    ranked = found[np.argsort(-deviations[found], kind="stable")]
    return tuple(Outlier(int(index), float(distances[index]), float(deviations[index])) for index in ranked)


def mean_distances(features: NDArray[np.float32], neighbours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean cosine distance of each picture to its neighbours (pictures, k), by all of the features: (pictures,).

    What principal components leave out matters here: it is much of what an outlier shows.
    """
    lengths = np.maximum(np.linalg.norm(features, axis=1), 1e-12)
    distances = np.empty(len(features))
    for start in range(0, len(features), _CHUNK):
        rows = slice(start, start + _CHUNK)
        others = neighbours[rows]
        products = np.einsum("nf,nkf->nk", features[rows], features[others])
        distances[rows] = 1 - (products / (lengths[rows, None] * lengths[others])).mean(axis=1)
    return distances


def robust_deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each value is above the median, in standard deviations as estimated from the upper half's median.

    The half above the median is measured alone, because distances are skewed. All are 0 where that half has no spread.
    """
    above = values - np.median(values)
    spread = 1.4826 * np.median(above[above >= 0])
    return above / spread if spread > 1e-9 else np.zeros_like(above)
