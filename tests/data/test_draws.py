"""Draws that keep groups whole and time in order."""

from collections.abc import Sequence

import numpy as np
import pytest

from frostline.data.arrays import ArrayStore
from frostline.data.dataset import SPLIT_NAMES, Dataset, Sample, SplitName
from frostline.data.splits import Splits, make_splits
from frostline.errors import DataError


def dataset_of(
    targets: Sequence[int],
    groups: Sequence[str | None] | None = None,
    times: Sequence[float | None] | None = None,
    splits: Sequence[SplitName | None] | None = None,
) -> Dataset:
    nothing = [None] * len(targets)
    rows = zip(targets, splits or nothing, groups or nothing, times or nothing, strict=True)
    samples = tuple(Sample(f"{i}.png", *row) for i, row in enumerate(rows))
    store = ArrayStore({"all": np.zeros((1, 2, 2, 3), np.uint8)})
    return Dataset("made", "made", samples, ("a", "b", "c")[: max(targets) + 1], store)


def groups_of(dataset: Dataset, splits: Splits, split: SplitName) -> set[str | None]:
    return {dataset.samples[index].group for index in getattr(splits, split)}


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_and_classes_near_their_share(seed: int) -> None:
    generator = np.random.default_rng(seed)
    groups = [f"patient {number}" for number in generator.integers(0, 60, 900)]
    targets = generator.choice(3, 900, p=[0.6, 0.3, 0.1]).tolist()
    dataset = dataset_of(targets, groups)
    splits = make_splits(dataset, val_fraction=0.2, test_fraction=0.2, seed=seed)
    assert sorted(np.concatenate([splits.train, splits.val, splits.test])) == list(range(900))
    train, val, test = (groups_of(dataset, splits, split) for split in SPLIT_NAMES)
    assert not train & val
    assert not train & test
    assert not val & test
    for indices, share in ((splits.test, 0.2), (splits.val, 0.16)):
        counts = np.bincount(dataset.targets[indices], minlength=3)
        np.testing.assert_allclose(counts / np.bincount(targets), share, atol=0.05)
    again = make_splits(dataset, val_fraction=0.2, test_fraction=0.2, seed=seed)
    np.testing.assert_array_equal(again.test, splits.test)


def test_a_class_in_one_group_trains() -> None:
    targets = [0] * 40 + [1] * 40 + [2] * 8
    groups = [f"g{i // 4}" for i in range(80)] + ["only"] * 8
    splits = make_splits(dataset_of(targets, groups))
    assert {80, 87} <= set(splits.train.tolist())


def test_pictures_without_a_group_are_drawn_one_by_one() -> None:
    dataset = dataset_of([0, 1] * 50, ["one"] * 10 + [None] * 90)
    splits = make_splits(dataset)
    assert len(splits.test) == pytest.approx(20, abs=2)
    assert len({split for split in SPLIT_NAMES if "one" in groups_of(dataset, splits, split)}) == 1


def test_groups_that_cannot_be_split_are_said() -> None:
    with pytest.raises(DataError, match="no test split can be drawn that leaves each class a training picture"):
        make_splits(dataset_of([0] * 10 + [1] * 10, ["x"] * 10 + ["y"] * 10))


def test_a_group_in_two_splits_of_the_source_is_named() -> None:
    with pytest.raises(DataError, match="the group anna is in the splits train and test: move it into one of them"):
        make_splits(
            dataset_of([0, 1, 0, 1], ["anna", "bert", "anna", "carl"], splits=["train", "train", "test", "test"])
        )


def test_the_newest_test_and_ties_stay_together() -> None:
    times = [float(number // 4) for number in range(100)][::-1]
    dataset = dataset_of([0, 1] * 50, times=times)
    splits = make_splits(dataset, val_fraction=0.1, test_fraction=0.2)
    newest = {split: [times[index] for index in getattr(splits, split)] for split in SPLIT_NAMES}
    assert max(newest["train"]) < min(newest["val"]) <= max(newest["val"]) < min(newest["test"])
    assert (len(splits.train), len(splits.val), len(splits.test)) == (72, 8, 20)


def test_a_group_stands_where_its_newest_picture_does() -> None:
    times = [float(number) for number in range(40)]
    groups: list[str | None] = [None] * 40
    groups[2] = groups[39] = "spread"
    splits = make_splits(dataset_of([0, 1] * 20, groups, times))
    assert {2, 39} <= set(splits.test.tolist())


def test_times_that_cannot_be_split_are_said() -> None:
    with pytest.raises(DataError, match="no test split can be drawn"):
        make_splits(dataset_of([0, 1] * 10, times=[5.0] * 20))
    with pytest.raises(DataError, match="leaves no training picture of: b"):
        make_splits(dataset_of([0] * 16 + [1] * 4, times=[float(i) for i in range(20)]))
    with pytest.raises(DataError, match=r"1 training pictures have no time, the first is 3\.png"):
        make_splits(dataset_of([0, 1] * 10, times=[1.0, 2.0, 3.0, None, *range(16)]))
