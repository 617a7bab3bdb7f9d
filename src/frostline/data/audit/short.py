"""The short check before every training: what can be told from the decoded pixels and the labels alone."""

from collections import defaultdict
from collections.abc import Iterator

from frostline.data.audit.classes import inspect_classes
from frostline.data.dataset import SPLIT_NAMES, Dataset
from frostline.data.pixels import Pixels
from frostline.data.splits import Splits


def short_check(dataset: Dataset, splits: Splits, pixels: Pixels) -> list[str]:
    """What the user should know before training, a line each; empty where nothing is found."""
    return [*inspect_classes(dataset).describe(), *_about_copies(dataset, splits, pixels)]


def _about_copies(dataset: Dataset, splits: Splits, pixels: Pixels) -> Iterator[str]:
    split_of = {int(index): name for name in SPLIT_NAMES for index in getattr(splits, name)}
    copies: defaultdict[bytes, list[int]] = defaultdict(list)
    used = sorted(split_of)
    for index, digest in zip(used, pixels.digests(used), strict=True):
        copies[digest].append(index)
    groups = [group for group in copies.values() if len(group) > 1]
    if not groups:
        return
    extra = sum(len(group) - 1 for group in groups)
    yield f"{extra:,} pictures have the same pixels as another one; frostline check shows them, and near copies too"
    for split in ("val", "test"):
        leaked = sum(
            split_of[index] == split and any(split_of[other] == "train" for other in group)
            for group in groups
            for index in group
        )
        if leaked:
            yield (
                f"leakage: {leaked:,} {split} pictures have the same pixels as a training picture, so the {split} "
                "figures are too good; --group-duplicates keeps copies together"
            )
    targets = dataset.targets
    torn = sum(len(set(targets[group].tolist())) > 1 for group in groups)
    if torn:
        yield f"contradictions: {torn:,} groups of pictures with the same pixels have different labels"
