"""Folds: every picture is tested on once, classes keep their shares, groups stay whole."""

from dataclasses import replace

import numpy as np
import pytest

from frostline.data.arrays import array_dataset
from frostline.data.dataset import Dataset
from frostline.data.folds import make_folds
from frostline.errors import DataError


def make_dataset(count: int = 60) -> Dataset:
    """Noise in three classes."""
    pictures = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return array_dataset("noise", "noise", {"all": (pictures, np.arange(count) % 3)}, ["a", "b", "c"], None)


@pytest.mark.parametrize("folds", [2, 5])
def test_every_picture_is_tested_on_once(folds: int) -> None:
    dataset = make_dataset()
    parts = make_folds(dataset, folds)
    assert len(parts) == folds
    assert np.array_equal(np.sort(np.concatenate([part.test for part in parts])), np.arange(60))
    for part in parts:
        together = np.concatenate([part.train, part.val, part.test])
        assert np.array_equal(np.sort(together), np.arange(60))
        counts = np.bincount(dataset.targets[part.test], minlength=3)
        assert counts.max() - counts.min() <= 1
        assert len(part.val)


def test_groups_stay_whole_and_the_sources_test_split_stays_out() -> None:
    dataset = make_dataset()
    samples = [
        replace(sample, group=f"patient {index // 6}", split="test" if index >= 54 else None)
        for index, sample in enumerate(dataset.samples)
    ]
    dataset = replace(dataset, samples=tuple(samples))
    parts = make_folds(dataset, 3)
    assert sorted(np.concatenate([part.test for part in parts])) == list(range(54))
    for part in parts:
        held = [{index // 6 for index in split} for split in (part.train, part.val, part.test)]
        assert not held[0] & held[1]
        assert not held[0] & held[2]
        assert not held[1] & held[2]


def test_too_many_folds_and_times_are_refused() -> None:
    dataset = make_dataset()
    with pytest.raises(DataError, match="30 folds need as many pictures of each class, and a has 20"):
        make_folds(dataset, 30)
    timed = replace(dataset, samples=tuple(replace(sample, time=1.0) for sample in dataset.samples))
    with pytest.raises(DataError, match="has times"):
        make_folds(timed, 3)
