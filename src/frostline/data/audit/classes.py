"""What can be wrong with classes: too few pictures, one split only, two names for one thing."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import SPLIT_NAMES, Dataset, SplitName
from frostline.errors import some_of

FEWEST_TO_SPLIT = 3
"""Pictures that a class needs to be in the training, the validation and the test split."""

SHORTEST_TO_SPELL = 5
"""Letters from which on two names that differ by one edit may be one name, misspelt."""

LARGE_RATIO = 3
"""Pictures of the largest class over those of the smallest from which on classes are called imbalanced."""

Difference = Literal["case or separators", "spelling"]


@dataclass(frozen=True, slots=True)
class AlikeNames:
    """Two class names that may mean the same class."""

    first: str
    second: str
    difference: Difference


@dataclass(frozen=True)
class ClassFacts:
    """How many pictures each class has, and what is odd about the classes."""

    class_names: tuple[str, ...]
    counts: dict[SplitName | None, tuple[int, ...]]
    """Pictures of each class in each split that the source brings; None holds pictures without a split."""
    imbalance_ratio: float
    """Pictures of the largest class over those of the smallest that has any."""
    too_small: tuple[str, ...]
    """Classes with fewer than `FEWEST_TO_SPLIT` pictures."""
    in_one_split: dict[str, SplitName]
    """Classes all of whose pictures are in one split, where there are several."""
    alike_names: tuple[AlikeNames, ...]

    def describe(self) -> Iterator[str]:
        """What the user should know, a line each."""
        if self.imbalance_ratio > LARGE_RATIO:
            yield (
                f"imbalanced: the largest class has {self.imbalance_ratio:.3g} times as many pictures as the smallest; "
                "look at balanced accuracy and macro F1, or give --class-weights balanced or --sampling balanced"
            )
        if self.too_small:
            yield f"fewer than {FEWEST_TO_SPLIT} pictures, too few for three splits: {some_of(self.too_small)}"
        for name, split in self.in_one_split.items():
            yield f"{name} is in the {split} split only"
        for pair in self.alike_names:
            yield f"{pair.first} and {pair.second} may be one class: they differ by {pair.difference}"


def inspect_classes(dataset: Dataset) -> ClassFacts:
    """Count the pictures of each class in each split, and find classes that are too small, lopsided or alike."""
    counts = _count(dataset)
    total = np.bincount(dataset.targets, minlength=len(dataset.class_names))
    present = total[total > 0]
    return ClassFacts(
        class_names=dataset.class_names,
        counts={split: tuple(numbers.tolist()) for split, numbers in counts.items()},
        imbalance_ratio=float(present.max() / present.min()) if len(present) else 1.0,
        too_small=tuple(dataset.class_names[target] for target in np.flatnonzero(total < FEWEST_TO_SPLIT).tolist()),
        in_one_split=_in_one_split(dataset.class_names, counts),
        alike_names=find_alike_names(dataset.class_names),
    )


def find_alike_names(names: Sequence[str]) -> tuple[AlikeNames, ...]:
    """Pairs of names that differ only by case, spaces, underscores or hyphens, or by one edit of a letter.

    An edit puts in, leaves out or changes a letter, or swaps two neighbours, in a name of `SHORTEST_TO_SPELL` letters
    or more; a changed digit is another name.
    """
    plain: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        plain[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    same = [pair for group in plain.values() for pair in combinations(group, 2)]
    misspelt = [(plain[one][0], plain[other][0]) for one, other in _one_edit_apart(plain)]
    found = [AlikeNames(*pair, "case or separators") for pair in same]
    return (*found, *(AlikeNames(*pair, "spelling") for pair in misspelt))


def _count(dataset: Dataset) -> dict[SplitName | None, NDArray[np.int64]]:
    numbers = Counter((sample.split, sample.target) for sample in dataset.samples)
    brought = {split for split, _ in numbers}
    classes = range(len(dataset.class_names))
    order: tuple[SplitName | None, ...] = (*SPLIT_NAMES, None)
    return {
        split: np.array([numbers[split, target] for target in classes], dtype=np.int64)
        for split in order
        if split in brought
    }


def _in_one_split(names: Sequence[str], counts: dict[SplitName | None, NDArray[np.int64]]) -> dict[str, SplitName]:
    brought = [(split, numbers) for split, numbers in counts.items() if split is not None]
    if len(brought) < 2 or None in counts:
        return {}
    table = np.stack([numbers for _, numbers in brought]) > 0
    alone = np.flatnonzero(table.sum(0) == 1).tolist()
    return {names[target]: brought[int(table[:, target].argmax())][0] for target in alone}


def _one_edit_apart(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names one edit of a letter apart, by the forms that such names share: time grows with their number."""
    long = [name for name in names if len(name) >= SHORTEST_TO_SPELL]
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for name in long:
        for form in _forms(name):
            sharing[form].append(name)
    pairs = {tuple(sorted(pair)) for group in sharing.values() for pair in combinations(group, 2)}
    for one, other in sorted(pairs):
        if re.sub(r"\D", "", one) == re.sub(r"\D", "", other):
            yield one, other


def _forms(name: str) -> set[str]:
    """Forms such that two names share one exactly when they are one edit apart.

    A letter, or nothing, is masked to meet names with another letter, or one more, there; and two neighbours are put
    in order to meet the name that has them swapped.
    """
    ends = range(len(name))
    changed = {f"{name[:i]}\0{name[i + 1 :]}" for i in ends}
    shorter = {f"{name[:i]}\0{name[i:]}" for i in (*ends, len(name))}
    swapped = {f"{name[:i]}\1{min(pair)}{max(pair)}{name[i + 2 :]}" for i, pair in enumerate(pairwise(name))}
    return changed | shorter | swapped
