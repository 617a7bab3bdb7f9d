"""What is kept of every picture to find its copies: a digest of its pixels and a small thumbnail."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.dataset import Picture
from frostline.data.pixels import picture_digest

SIDE = 32
"""Side of a thumbnail in pixels."""

Thumbnails = NDArray[np.uint8]
"""Shape (pictures, SIDE, SIDE, 3)."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of one picture."""

    digest: bytes
    """See `picture_digest`."""
    thumbnail: NDArray[np.uint8]
    """The whole picture, its proportions given up, shape (SIDE, SIDE, 3)."""


def fingerprint(picture: Picture) -> Fingerprint:
    """The fingerprint of a decoded picture of any size, uint8 of shape (height, width, 3)."""
    thumbnail = picture
    if picture.shape[:2] != (SIDE, SIDE):
        image = Image.fromarray(picture)
        thumbnail = np.array(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))
    return Fingerprint(picture_digest(picture), thumbnail)


def group_copies(digests: Iterable[bytes]) -> list[tuple[int, ...]]:
    """Groups of places with equal digests, in the order of their first; most are alone."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        groups[digest].append(place)
    return [tuple(group) for group in groups.values()]


@cache
def blur_matrix(deviation: float) -> NDArray[np.float32]:
    """Blurs the rows of a thumbnail from its left, and the columns by its transpose from its right: (SIDE, SIDE).

    `deviation` is that of the Gaussian, in pixels; beyond its border a picture goes on as it ends.
    """
    from scipy.ndimage import gaussian_filter1d

    matrix: NDArray[np.float32] = gaussian_filter1d(np.eye(SIDE, dtype=np.float32), deviation, axis=0, mode="nearest")
    return matrix
