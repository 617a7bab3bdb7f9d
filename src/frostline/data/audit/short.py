"""The short check before every training: what can be told from the decoded pixels and the labels alone."""

from collections.abc import Iterator, Sequence

from frostline.data.audit.classes import inspect_classes
from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.audit.leakage import seen_before, with_other_labels
from frostline.data.audit.thumbnails import group_copies
from frostline.data.dataset import SPLIT_NAMES, Dataset, SplitName
from frostline.data.splits import Splits


def short_check(dataset: Dataset, splits: Splits, digests: Sequence[bytes]) -> list[str]:
    """What the user should know before training, a line each; empty where nothing is found.

    `digests` are of the decoded pixels of every picture; see `data.pixels.picture_digest`.
    """
    return [*inspect_classes(dataset).describe(), *_about_copies(dataset, splits, digests)]


def _about_copies(dataset: Dataset, splits: Splits, digests: Sequence[bytes]) -> Iterator[str]:
    split_of: list[SplitName | None] = [None] * len(dataset)
    for name in SPLIT_NAMES:
        for index in getattr(splits, name):
            split_of[index] = name
    used = [index for index, split in enumerate(split_of) if split is not None]
    copies = [group for group in group_copies([digests[index] for index in used]) if len(group) > 1]
    if not copies:
        return
    groups = [DuplicateGroup.of_copies(tuple(used[place] for place in group)) for group in copies]
    extra = sum(len(group.indices) - 1 for group in groups)
    yield f"{extra:,} pictures have the same pixels as another one; frostline check shows them, and near copies too"
    for split in SPLIT_NAMES[1:]:
        leaked = len(seen_before(groups, split_of, split, {"train"}))
        if leaked:
            yield (
                f"leakage: {leaked:,} {split} pictures have the same pixels as a training picture, so the {split} "
                "figures are too good; --group-duplicates keeps copies together"
            )
    torn = len(with_other_labels(groups, dataset.targets.tolist()))
    if torn:
        yield f"contradictions: {torn:,} groups of pictures with the same pixels have different labels"
