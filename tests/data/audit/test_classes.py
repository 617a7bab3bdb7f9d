import numpy as np
import pytest

from frostline.data.arrays import ArrayStore
from frostline.data.audit.classes import AlikeNames, find_alike_names, inspect_classes
from frostline.data.dataset import Dataset, Sample, SplitName


def dataset_of(class_names: str, places: dict[SplitName | None, str]) -> Dataset:
    """A dataset with one picture for each letter of the places."""
    samples = [
        Sample(f"{split}/{number}", class_names.index(letter), split)
        for split, letters in places.items()
        for number, letter in enumerate(letters)
    ]
    store = ArrayStore({"all": np.zeros((1, 2, 2, 3), np.uint8)})
    return Dataset("made", "made", tuple(samples), tuple(class_names), store)


def test_counts_by_split_and_imbalance() -> None:
    facts = inspect_classes(dataset_of("abc", {"train": "aaaaaabbb", "test": "aac"}))
    assert facts.counts == {"train": (6, 3, 0), "test": (2, 0, 1)}
    assert facts.imbalance_ratio == 8
    assert facts.too_small == ("c",)
    assert facts.in_one_split == {"b": "train", "c": "test"}


def test_without_splits_no_class_is_in_one_split_only() -> None:
    facts = inspect_classes(dataset_of("ab", {None: "aaabbb"}))
    assert facts.counts == {None: (3, 3)}
    assert (facts.imbalance_ratio, facts.too_small, facts.in_one_split) == (1, (), {})
    assert inspect_classes(dataset_of("ab", {"train": "aaabbb"})).in_one_split == {}


def test_an_empty_class_is_too_small_and_leaves_the_ratio_finite() -> None:
    facts = inspect_classes(dataset_of("abc", {None: "aaaabb"}))
    assert (facts.imbalance_ratio, facts.too_small) == (2, ("b", "c"))


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ("Cat", "cat", "case or separators"),
        ("fire truck", "Fire_Truck", "case or separators"),
        ("fire-truck", "firetruck", "case or separators"),
        ("elephant", "elefant", None),
        ("elephant", "elephants", "spelling"),
        ("elephant", "elphant", "spelling"),
        ("giraffe", "giraffa", "spelling"),
        ("giraffe", "girafef", "spelling"),
        ("cat", "bat", None),
        ("cats", "cat", None),
        ("class 1", "class 2", None),
        ("class 1", "class 11", None),
        ("zebras", "sebra", None),
        ("straße", "strasse", "case or separators"),
    ],
)
def test_names_that_may_mean_the_same(first: str, second: str, difference: str | None) -> None:
    found = find_alike_names([first, "ostrich", second])
    assert [item.difference for item in found] == ([difference] if difference else [])


def test_pairs_are_named_as_they_are_written() -> None:
    assert find_alike_names(["Zebra ", "zebr"]) == ()
    assert find_alike_names(["Big Zebra", "big_zebre"]) == (AlikeNames("Big Zebra", "big_zebre", "spelling"),)


def test_a_thousand_names_are_quick() -> None:
    names = [f"n{number:08}" for number in range(1000)]
    assert find_alike_names(names) == ()
