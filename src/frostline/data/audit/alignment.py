"""How alike two pictures are once one is laid upon the other: mirrored or not, cropped, stretched, lit otherwise.

The thumbnails of a pair are registered by Gauss-Newton steps, from blurred to sharp (Lucas and Kanade 1981), and
compared by the normalised cross-correlation of their details, in which brightness and contrast drop out. Each step is a
regression of the first thumbnail on the second as it lies now, on its slopes and on a constant, so that gain and offset
are fitted too (Evangelidis and Psarakis 2008).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from frostline.data.audit.thumbnails import SIDE, Thumbnails, blur_matrix
from frostline.data.machine import usable_cores

Floats = NDArray[np.float32]

_CHUNK = 128
"""Pairs that are registered at once, so that their planes stay in the processor's cache."""

_BLURS = (3.0, 3.0, 1.5, 1.5, 0.7, 0.7, 0.7)
"""Standard deviation, in pixels of a thumbnail, of the blur in each step."""

_FINE, _COARSE = 0.7, 3.0
"""Standard deviations of the blurs between which details lie."""

_LARGEST_MOVE = 0.2
"""Of a border in one step, as a part of half a side."""

_LOWEST = np.array([1 / 1.5, -0.5, 1 / 1.5, -0.5])
_HIGHEST = np.array([1.5, 0.5, 1.5, 0.5])
"""Limits of a placement: scale and shift down, scale and shift across."""

_LEAST_OVERLAP = 0.6
"""Part of a thumbnail that must lie upon the other."""

_HOPEFUL = 0.5
"""Similarity from which on the first picture is laid upon the second too: a crop hides its surroundings the one way."""

_LEAST_GAIN = 0.3
"""Contrast of the first picture against the second; below it a step would not know where to go."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_CENTRES = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
"""Positions of a thumbnail's pixels, from -1 to 1 between its borders."""
_SLOPE = np.asarray(np.gradient(np.eye(SIDE), 2 / SIDE, axis=0), dtype=np.float32)
"""Takes the derivative down a thumbnail from its left, and across by its transpose from its right."""


@dataclass(frozen=True)
class Alikeness:
    """How alike the pictures of pairs are."""

    similarity: Floats
    """Correlation of the details where the two overlap, from -1 to 1, shape (pairs,)."""
    mirrored: NDArray[np.bool_]
    """Whether the second picture is taken in the mirror, shape (pairs,)."""


def compare(thumbnails: Thumbnails, pairs: NDArray[np.int64]) -> Alikeness:
    """Lay the pictures of each pair, (pairs, 2), upon each other, and say how alike they are; in a thread a core."""
    chunks = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
    similarity, mirrored = np.empty(len(pairs), dtype=np.float32), np.empty(len(pairs), dtype=np.bool_)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for number, found in enumerate(pool.map(partial(_compare_chunk, thumbnails), chunks)):
            rows = slice(number * _CHUNK, (number + 1) * _CHUNK)
            similarity[rows], mirrored[rows] = found
    return Alikeness(similarity, mirrored)


def _compare_chunk(thumbnails: Thumbnails, pairs: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Similarity and sides of a few pairs: of what lies upon what, the better counts."""
    first, second = (_planes(thumbnails[pairs[:, side]]) for side in (0, 1))
    mirrored = _closer_in_mirror(first, second)
    second[mirrored] = second[mirrored, ..., ::-1]
    similarity = _similarity(first, second)
    hopeful = similarity >= _HOPEFUL
    similarity[hopeful] = np.maximum(similarity[hopeful], _similarity(second[hopeful], first[hopeful]))
    return similarity, mirrored


def _planes(thumbnails: Thumbnails) -> Floats:
    return np.ascontiguousarray(thumbnails.transpose(0, 3, 1, 2), dtype=np.float32)


def _closer_in_mirror(first: Floats, second: Floats) -> NDArray[np.bool_]:
    one, other = (_blur(planes, _BLURS[0]) for planes in (first, second))
    closer: NDArray[np.bool_] = _correlation(one, other[..., ::-1]) > _correlation(one, other)
    return closer


def _similarity(first: Floats, second: Floats) -> Floats:
    """The correlation of planes (N, 3, SIDE, SIDE) as they lie or once registered, whichever is higher."""
    moved, inside = _register(first, second)
    details = _details(first)
    lying = _correlation(details, _details(second))
    registered = _correlation(details, _details(moved), inside[:, None])
    enough = inside.mean(axis=(1, 2)) >= _LEAST_OVERLAP
    return np.where(enough, np.maximum(lying, registered), lying)


def _register(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """The second as it lies upon the first, and which pixels, (N, SIDE, SIDE), are of it: 1 or 0."""
    placement = np.tile(np.array([1, 0, 1, 0], dtype=np.float32), (len(first), 1))
    one, other = (np.einsum("ncyx,c->nyx", planes, _GREY) for planes in (first, second))
    for blur in _BLURS:
        placement = _step(_blur(one, blur), _blur(other, blur), placement)
    down, across, inside = _sampling(placement)
    return np.asarray(down[:, None] @ second @ across[:, None], dtype=np.float32), inside


def _step(one: Floats, other: Floats, placement: Floats) -> Floats:
    """One Gauss-Newton step of the placements (N, 4)."""
    down, across, inside = _sampling(placement)
    moved, slope_down, slope_across = (down @ plane @ across for plane in (other, _SLOPE @ other, other @ _SLOPE.T))
    down_terms, across_terms = [slope_down * _CENTRES[:, None], slope_down], [slope_across * _CENTRES, slope_across]
    terms = [*down_terms, *across_terms, moved, np.ones_like(moved)]
    columns = np.stack(terms, axis=1).reshape(len(one), len(terms), SIDE**2)
    weighted = columns * inside.reshape(len(one), 1, SIDE**2)
    normal = (weighted @ columns.transpose(0, 2, 1)).astype(np.float64)
    right = (weighted @ one.reshape(len(one), SIDE**2, 1)).astype(np.float64)
    ridge = 1e-4 * np.trace(normal, axis1=1, axis2=2) / len(terms) + 1e-6
    solution = np.linalg.solve(normal + ridge[:, None, None] * np.eye(len(terms)), right)[..., 0]
    gain = np.maximum(solution[:, 4:5], _LEAST_GAIN)
    moves = np.clip(solution[:, :4] / gain, -_LARGEST_MOVE, _LARGEST_MOVE)
    return np.clip(placement + moves, _LOWEST, _HIGHEST).astype(np.float32)


def _sampling(placement: Floats) -> tuple[Floats, Floats, Floats]:
    """Matrices that sample down from the left and across from the right, and which samples lie inside: 1 or 0.

    All are (N, SIDE, SIDE).
    """
    rows = placement[:, 0, None] * _CENTRES + placement[:, 1, None]
    columns = placement[:, 2, None] * _CENTRES + placement[:, 3, None]
    inside = (np.abs(rows) <= 1)[:, :, None] & (np.abs(columns) <= 1)[:, None, :]
    return _linear_weights(rows), _linear_weights(columns).transpose(0, 2, 1), inside.astype(np.float32)


def _linear_weights(positions: Floats) -> Floats:
    """Weights (N, SIDE, SIDE) of the pixels in linear samples at positions (N, SIDE), held at the border."""
    held = np.clip(positions, _CENTRES[0], _CENTRES[-1])
    return np.maximum(1 - np.abs(held[:, :, None] - _CENTRES) * np.float32(SIDE / 2), 0)


def _details(planes: Floats) -> Floats:
    """What lies between a fine and a coarse blur: neither the noise of compression nor the light of the scene."""
    return _blur(planes, _FINE) - _blur(planes, _COARSE)


def _blur(planes: Floats, deviation: float) -> Floats:
    matrix = blur_matrix(deviation)
    return np.asarray(matrix @ planes @ matrix.T, dtype=np.float32)


def _correlation(one: Floats, other: Floats, weight: Floats | None = None) -> Floats:
    """Normalised cross-correlation of planes (N, 3, SIDE, SIDE) about each one's mean, within weights of 1 or 0."""
    weight = np.ones((len(one), 1, SIDE, SIDE), dtype=np.float32) if weight is None else weight
    total = np.maximum(weight.sum((2, 3), keepdims=True), 1)
    one, other = (weight * (plane - (plane * weight).sum((2, 3), keepdims=True) / total) for plane in (one, other))
    together, first, second = (
        np.einsum("ncyx,ncyx->n", left, right) for left, right in ((one, other), (one, one), (other, other))
    )
    correlation: Floats = together / np.sqrt(np.maximum(first * second, 1e-6))
    return correlation
