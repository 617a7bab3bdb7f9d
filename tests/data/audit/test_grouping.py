"""Duplicates in one group, which no split divides."""

from dataclasses import replace

import numpy as np
import pytest

from frostline.data.arrays import array_dataset
from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.audit.grouping import group_duplicates
from frostline.data.dataset import Dataset
from frostline.data.splits import make_splits


def make_dataset(count: int = 60) -> Dataset:
    """Noise in two classes."""
    pictures = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return array_dataset("noise", "noise", {"all": (pictures, np.arange(count) % 2)}, ["a", "b"], None)


def group_of(*indices: int) -> DuplicateGroup:
    return DuplicateGroup(indices, exact=False, similarity=0.9, mirrored=False)


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_stay_in_one_split(seed: int) -> None:
    pairs = [(number, number + 30) for number in range(0, 30, 3)]
    grouped = group_duplicates(make_dataset(), [group_of(*pair) for pair in pairs])
    splits = make_splits(grouped, seed=seed)
    for split in (splits.train, splits.val, splits.test):
        assert len(split)
        for pair in pairs:
            assert len({index in split for index in pair}) == 1


def test_groups_that_duplicates_connect_become_one() -> None:
    dataset = make_dataset(6)
    named = [replace(sample, group=group) for sample, group in zip(dataset.samples, "xxyyzz", strict=True)]
    joined = group_duplicates(replace(dataset, samples=tuple(named)), [group_of(1, 2)])
    assert [sample.group for sample in joined.samples] == ["x", "x", "x", "x", "z", "z"]


def test_without_duplicates_nothing_changes() -> None:
    dataset = make_dataset()
    assert group_duplicates(dataset, []).samples == dataset.samples
