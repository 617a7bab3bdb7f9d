"""Which pairs of pictures are worth comparing: neighbours by the network's features, and by a coarse view of them.

The features know a crop, and the coarse view knows a small or badly compressed copy, that has other features.
"""

import numpy as np
from numpy.typing import NDArray

from frostline.data.audit.neighbours import find_neighbours
from frostline.data.audit.thumbnails import SIDE, Thumbnails, blur_matrix

BY_FEATURES, BY_COLOURS = 5, 4
"""Neighbours of each picture, in each of the two senses."""

LEAST_CORRELATION = 0.65
"""Of the coarse views of a pair worth comparing; the copies of `benchmarks/duplicates.py` have 0.68 and more."""

_STEP = 4
"""Pixels of a thumbnail for one of a coarse view."""

Floats = NDArray[np.float32]


def propose_pairs(thumbnails: Thumbnails, by_features: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of pictures, (pairs, 2), the smaller index first, each pair once.

    `by_features` are each picture's neighbours by the network's features, (pictures, neighbours), the nearest first.
    """
    views = _coarse_views(thumbnails)
    by_colours = find_neighbours(_without_sides(views), BY_COLOURS)
    others = np.concatenate([by_features[:, :BY_FEATURES], by_colours], axis=1)
    own = np.broadcast_to(np.arange(len(others))[:, None], others.shape)
    pairs = np.unique(np.sort(np.stack([own.ravel(), others.ravel()], axis=1), axis=1), axis=0)
    first, second = views[pairs[:, 0]], views[pairs[:, 1]]
    straight, mirrored = (np.einsum("nyxc,nyxc->n", first, view) for view in (second, second[:, :, ::-1]))
    worth: NDArray[np.bool_] = np.maximum(straight, mirrored) >= LEAST_CORRELATION
    return pairs[worth]


def _coarse_views(thumbnails: Thumbnails) -> Floats:
    """Blurred thumbnails of few pixels, without the light of the scene, as vectors of length 1."""
    fine, light = (blur_matrix(deviation)[_STEP // 2 :: _STEP] for deviation in (3.0, 8.0))
    views = np.empty((len(thumbnails), SIDE // _STEP, SIDE // _STEP, 3), dtype=np.float32)
    for channel in range(3):
        values = thumbnails[..., channel].astype(np.float32)
        views[..., channel] = fine @ values @ fine.T - light @ values @ light.T
    lengths = np.sqrt(np.einsum("nyxc,nyxc->n", views, views))
    views /= np.maximum(lengths, 1e-6)[:, None, None, None]
    return views


def _without_sides(views: Floats) -> Floats:
    """Vectors that are the same for a picture and its mirror image: the even part and the size of the odd part."""
    half = views.shape[2] // 2
    left, right = views[:, :, :half], views[:, :, : half - 1 : -1]
    return np.concatenate([left + right, np.abs(left - right)], axis=2).reshape(len(views), -1)
