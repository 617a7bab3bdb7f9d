"""Pictures that show the same: exact copies, and resized, recompressed, cropped, mirrored or brightened ones.

How alike near duplicates must be depends on the dataset: scanned digits, or solar cells before one camera, are alike
and no duplicates. So a pair must stand out from neighbours that are none, a contrario (Desolneux, Moisan and Morel
2000, Meaningful Alignments).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.data.audit.alignment import compare
from frostline.data.audit.candidates import propose_pairs
from frostline.data.audit.neighbours import NEIGHBOURS, find_neighbours
from frostline.data.audit.thumbnails import Fingerprint, Thumbnails, group_copies

LEAST_SIMILARITY = 0.9
"""Of near duplicates, in any dataset."""

_LEAST_DEVIATION = 2.0
"""Of a thumbnail's levels, from 0 to 255, in a picture that shows enough to have near duplicates."""

_DEVIATIONS = 5.5
"""How far the difference of near duplicates is below that of unrelated neighbours, in robust standard deviations."""

_UNRELATED_PAIRS = 2000
"""How many unrelated neighbours are compared at most, to learn how alike they are."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two pictures, not of the same pixels, that show the same."""

    first: int
    second: int
    similarity: float
    """Correlation of the details where the two overlap, up to 1."""
    mirrored: bool


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Pictures that show the same."""

    indices: tuple[int, ...]
    """Sorted."""
    exact: bool
    """Whether all have the same pixels."""
    similarity: float
    """The least that a picture of the group has to its representative; 1 for exact copies."""
    mirrored: bool
    """Whether one is the representative's mirror image."""

    @classmethod
    def of_copies(cls, indices: tuple[int, ...]) -> "DuplicateGroup":
        """Pictures of the same pixels."""
        return cls(indices, exact=True, similarity=1.0, mirrored=False)


def find_duplicates(
    fingerprints: Sequence[Fingerprint], features: NDArray[np.float32], neighbours: NDArray[np.int64] | None = None
) -> tuple[DuplicateGroup, ...]:
    """Groups of exact and near duplicates among pictures with their features, (pictures, features).

    Groups are sorted by their first picture, and none share a picture. Each member is like the group's representative,
    which has the most partners: a chain of pictures that are only alike from one to the next falls apart. Pictures of
    one colour are no duplicates of each other.

    `neighbours` are the `NEIGHBOURS` nearest of each picture, where they are known. They are searched otherwise, and
    where there are exact copies, which must not crowd out the others.
    """
    copies = group_copies(item.digest for item in fingerprints)
    distinct = [group[0] for group in copies]
    if neighbours is None or len(distinct) < len(fingerprints):
        neighbours = find_neighbours(features[distinct], NEIGHBOURS)
    thumbnails = np.stack([fingerprints[index].thumbnail for index in distinct])
    stars = list(_stars(find_near_pairs(thumbnails, neighbours)))
    near = [
        DuplicateGroup(
            indices=tuple(sorted(index for member in star.members for index in copies[member])),
            exact=False,
            similarity=star.similarity,
            mirrored=star.mirrored,
        )
        for star in stars
    ]
    taken = {member for star in stars for member in star.members}
    exact = [
        DuplicateGroup.of_copies(group)
        for place, group in enumerate(copies)
        if place not in taken and len(group) > 1 and np.ptp(thumbnails[place], axis=(0, 1)).any()
    ]
    return tuple(sorted([*near, *exact], key=lambda group: group.indices))


def find_near_pairs(thumbnails: Thumbnails, neighbours: NDArray[np.int64]) -> tuple[NearPair, ...]:
    """Pairs of near duplicates among pictures none of which have the same pixels, the most alike first.

    `neighbours` are each picture's by the network's features, (pictures, neighbours), the nearest first.
    """
    shows = thumbnails.std(axis=(1, 2), dtype=np.float32).max(axis=1) >= _LEAST_DEVIATION
    if len(thumbnails) < 2:
        return ()
    pairs = propose_pairs(thumbnails, neighbours)
    pairs = pairs[shows[pairs].all(axis=1)]
    alikeness = compare(thumbnails, pairs)
    found = np.flatnonzero(alikeness.similarity >= least_similarity(thumbnails, neighbours))
    ranked = found[np.argsort(-alikeness.similarity[found], kind="stable")]
    return tuple(
        NearPair(
            first=int(pairs[row, 0]),
            second=int(pairs[row, 1]),
            similarity=float(alikeness.similarity[row]),
            mirrored=bool(alikeness.mirrored[row]),
        )
        for row in ranked
    )


def least_similarity(thumbnails: Thumbnails, neighbours: NDArray[np.int64]) -> float:
    """The similarity from which on two pictures of this dataset are near duplicates.

    It is `LEAST_SIMILARITY`, or more where unrelated neighbours are alike: the logarithm of their difference, 1 less
    their similarity, has a median and a robust deviation, and that of a pair must be far below. The last of the
    `neighbours`, (pictures, neighbours), are taken for unrelated: nearer ones may all be copies.
    """
    if neighbours.shape[1] < NEIGHBOURS:
        return LEAST_SIMILARITY
    chosen = np.sort(np.random.default_rng(0).permutation(len(thumbnails))[:_UNRELATED_PAIRS])
    others = neighbours[chosen, -1]
    similarity = compare(thumbnails, np.stack([chosen, others], axis=1)).similarity
    differences = np.log(np.maximum(1 - similarity.astype(np.float64), 1e-9))
    median = np.median(differences)
    deviation = 1.4826 * np.median(median - differences[differences <= median])
    return max(LEAST_SIMILARITY, 1 - float(np.exp(median - _DEVIATIONS * deviation)))


@dataclass(frozen=True, slots=True)
class _Star:
    """A representative with its partners."""

    members: tuple[int, ...]
    similarity: float
    mirrored: bool


def _stars(pairs: Sequence[NearPair]) -> Iterator[_Star]:
    """Take the picture with the most free partners, and those with it, until no pair is left."""
    partners: defaultdict[int, dict[int, NearPair]] = defaultdict(dict)
    for pair in pairs:
        partners[pair.first][pair.second] = pair
        partners[pair.second][pair.first] = pair
    order = sorted(partners, key=lambda index: (-len(partners[index]), index))
    taken: set[int] = set()
    for centre in order:
        free = {index: pair for index, pair in partners[centre].items() if index not in taken}
        if centre in taken or not free:
            continue
        taken |= {centre, *free}
        yield _Star(
            (centre, *free), min(pair.similarity for pair in free.values()), any(p.mirrored for p in free.values())
        )
