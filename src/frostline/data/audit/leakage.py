"""What duplicates mean: the same picture under two labels, or in two splits."""

from collections.abc import Collection, Iterable, Sequence
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
    across = tuple(group for group in groups if len({splits[index] for index in group.indices} - {None}) > 1)
    affected: dict[SplitName, tuple[int, ...]] = {
        "val": seen_before(across, splits, "val", {"train"}),
        "test": seen_before(across, splits, "test", {"train", "val"}),
    }
    return Leakage(across, affected)


def seen_before(
    groups: Iterable[DuplicateGroup],
    splits: Sequence[SplitName | None],
    split: SplitName,
    earlier: Collection[SplitName],
) -> tuple[int, ...]:
    """Pictures of a split, sorted, that show the same as one of the earlier splits."""
    seen = (group for group in groups if any(splits[index] in earlier for index in group.indices))
    return tuple(sorted(index for group in seen for index in group.indices if splits[index] == split))
