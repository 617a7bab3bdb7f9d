"""What duplicates mean: the same picture under two labels, or in two splits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.dataset import SplitName


@dataclass(frozen=True)
class Leakage:
    """Duplicates in more than one split."""

    groups: tuple[DuplicateGroup, ...]
    """Those with pictures in two splits or three."""
    affected: dict[SplitName, tuple[int, ...]]
    """Validation and test pictures, sorted, that show the same as one of the training split; and test pictures that
    show the same as one of the validation split."""


def with_other_labels(groups: Iterable[DuplicateGroup], targets: Sequence[int]) -> tuple[DuplicateGroup, ...]:
    """Groups whose pictures do not all have the same target."""
    return tuple(group for group in groups if len({targets[index] for index in group.indices}) > 1)


def find_leakage(groups: Iterable[DuplicateGroup], splits: Sequence[SplitName | None]) -> Leakage:
    """Groups across splits, by the split that each picture is in; None for a picture in no split."""
    across = []
    affected: dict[SplitName, set[int]] = {"val": set(), "test": set()}
    for group in groups:
        present = {splits[index] for index in group.indices} - {None}
        if len(present) < 2:
            continue
        across.append(group)
        for index in group.indices:
            split = splits[index]
            if split == "test" or (split == "val" and "train" in present):
                affected[split].add(index)
    return Leakage(tuple(across), {split: tuple(sorted(indices)) for split, indices in affected.items()})
