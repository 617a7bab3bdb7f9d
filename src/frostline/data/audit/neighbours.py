"""The nearest neighbours of every picture among the others, in memory that grows with their number, not its square."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEIGHBOURS = 10
"""Neighbours of each picture that the doctor looks at: more than the copies that one picture may have."""

MOST_DIMENSIONS = 128
"""Principal components that vectors are reduced to before the search."""


def find_neighbours(vectors: Floats, k: int) -> NDArray[np.int64]:
    """The `k` others nearest to each picture by the cosine of their vectors, the nearest first, or all where fewer.

    From vectors (pictures, dimensions) to indices (pictures, k). The vectors are reduced by principal component
    analysis, which centres them.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(vectors) < 2:
        return np.empty((len(vectors), 0), dtype=np.int64)
    reduced = _reduce(vectors)
    unit = reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-12)
    search = NearestNeighbors(n_neighbors=min(k, len(unit) - 1), algorithm="brute").fit(unit)
    indices = search.kneighbors(return_distance=False)  # without queries, a picture is no neighbour of its own
    return np.asarray(indices, dtype=np.int64)


def _reduce(vectors: Floats) -> Floats:
    """Centre vectors and turn them to their principal axes, without a copy of them all."""
    mean = vectors.mean(0, dtype=np.float64)
    covariance = (vectors.T @ vectors) / len(vectors) - np.outer(mean, mean)
    _, axes = np.linalg.eigh(covariance)
    axes = axes[:, -MOST_DIMENSIONS:]
    return np.asarray(vectors @ axes.astype(np.float32) - (mean @ axes).astype(np.float32))
