"""How pictures are drawn from the training part: by class, by whole groups, or the newest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset
from frostline.errors import DataError

Indices = NDArray[np.int64]

_MOST_TRIED = 20
_MOST_STEPS = 200_000
"""Orders in which groups are tried, and classes of groups looked at in all of them, to come close to the share."""

Draw = Callable[[Indices, float, int, np.random.Generator], Indices]
"""Draw a fraction of a pool of samples: at least one, leaving enough for so many more splits, training among them."""


def choose_draw(dataset: Dataset, pool: Indices) -> Draw:
    """How to draw from this pool: the newest where its pictures have times, else whole groups where they have groups.

    Raises `DataError` where some of the pictures have times and others not.
    """
    samples = [dataset.samples[index] for index in pool]
    timed = sum(sample.time is not None for sample in samples)
    if 0 < timed < len(samples):
        first = next(sample.path for sample in samples if sample.time is None)
        raise DataError(
            f"{dataset.source}: {len(samples) - timed:,} training pictures have no time, the first is {first}: "
            "give all of them one, or none"
        )
    if timed:
        return _Newest(dataset, group_codes(dataset))
    if any(sample.group is not None for sample in samples):
        return _WholeGroups(dataset.targets, group_codes(dataset))
    return _Stratified(dataset.targets)


def group_codes(dataset: Dataset) -> Indices:
    """A number for the group of each sample, shape (samples,); one that has none is a group of its own."""
    codes: dict[str | int, int] = {}
    keys = (index if sample.group is None else sample.group for index, sample in enumerate(dataset.samples))
    return np.fromiter((codes.setdefault(key, len(codes)) for key in keys), dtype=np.int64, count=len(dataset))


@dataclass(frozen=True)
class _Stratified:
    """Each class gives its own share, and at least one picture."""

    targets: Indices

    def __call__(self, pool: Indices, fraction: float, keep: int, generator: np.random.Generator) -> Indices:
        """Draw a share of each class, leaving at least `keep` of its pictures behind."""
        chosen = []
        for target in np.unique(self.targets[pool]):
            members = generator.permutation(pool[self.targets[pool] == target])
            count = int(np.floor(fraction * len(members) + 0.5))
            chosen.append(members[: max(1, min(count, len(members) - keep))])
        return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class _WholeGroups:
    """Groups are drawn whole, so that each class comes as close to its share as they allow.

    Groups are taken in a random order, each if it brings the draw closer to the share of its classes; of some orders
    the best one counts. This is the greedy idea of scikit-learn's StratifiedGroupKFold, for one split at a time.
    """

    targets: Indices
    groups: Indices

    def __call__(self, pool: Indices, fraction: float, keep: int, generator: np.random.Generator) -> Indices:
        """Draw groups, so that each class stays in at least `keep` of them where it can, and in one whatever comes."""
        classes = int(self.targets.max()) + 1
        pairs, counts = np.unique(self.groups[pool] * classes + self.targets[pool], return_counts=True)
        members: dict[int, list[tuple[int, int]]] = {}
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            members.setdefault(pair // classes, []).append((pair % classes, count))
        tried = max(1, min(_MOST_TRIED, _MOST_STEPS // len(pairs)))
        orders = [generator.permutation(np.array(list(members))).tolist() for _ in range(tried)]
        for left in range(keep, 0, -1):
            draws = [_take(members, order, fraction, left) for order in orders]
            _, chosen = min(draws, key=lambda draw: draw[0])
            if chosen:
                return pool[np.isin(self.groups[pool], chosen)]
        return pool[:0]


def _take(
    members: dict[int, list[tuple[int, int]]], order: list[int], fraction: float, keep: int
) -> tuple[float, list[int]]:
    """The groups taken in one order, and how far their pictures are from each class's share, summed over classes."""
    totals: dict[int, int] = {}
    holders: dict[int, int] = {}
    for classes in members.values():
        for target, count in classes:
            totals[target] = totals.get(target, 0) + count
            holders[target] = holders.get(target, 0) + 1
    missing = {target: fraction * total for target, total in totals.items()}
    chosen = []
    for group in order:
        classes = members[group]
        gain = sum((abs(missing[target]) - abs(missing[target] - count)) / totals[target] for target, count in classes)
        if gain <= 0 or any(holders[target] <= keep for target, _ in classes):
            continue
        chosen.append(group)
        for target, count in classes:
            missing[target] -= count
            holders[target] -= 1
    return sum(abs(missing[target]) / total for target, total in totals.items()), chosen


@dataclass(frozen=True)
class _Newest:
    """The newest pictures are drawn; those of one time, or of one group, stay together.

    A group stands where its newest picture does, so that nothing that trains is newer than its split ends.
    """

    dataset: Dataset
    groups: Indices

    def __call__(self, pool: Indices, fraction: float, keep: int, generator: np.random.Generator) -> Indices:
        """Draw the newest share, to the nearest change of time, leaving at least `keep` times behind."""
        times = np.array([self.dataset.samples[index].time for index in pool], dtype=np.float64)
        newest = np.full(int(self.groups.max()) + 1, -np.inf)
        np.maximum.at(newest, self.groups[pool], times)
        standing = newest[self.groups[pool]]
        moments, first = np.unique(np.sort(standing), return_index=True)
        if len(moments) <= keep:
            return pool[:0]
        wanted = len(pool) * (1 - fraction)
        begin = keep + int(np.argmin(np.abs(first[keep:] - wanted)))
        drawn: Indices = pool[standing >= moments[begin]]
        return drawn
