from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from frostline.data.arrays import ArrayStore
from frostline.data.dataset import SPLIT_NAMES, Dataset, Sample, SplitName
from frostline.data.splits import Splits, load_splits, make_splits, save_splits
from frostline.errors import DataError


def dataset_of(counts: Mapping[SplitName | None, list[int]], class_names: str = "abcdefghij") -> Dataset:
    """A dataset with so many pictures of each class in each split."""
    samples = [
        Sample(f'{split}/{class_names[target]}, "{i}".jpg', target, split)
        for split, numbers in counts.items()
        for target, number in enumerate(numbers)
        for i in range(number)
    ]
    classes = max(len(numbers) for numbers in counts.values())
    store = ArrayStore({"all": np.zeros((1, 2, 2, 3), np.uint8)})
    return Dataset("made", "made", tuple(samples), tuple(class_names[:classes]), store)


def counts_of(dataset: Dataset, splits: Splits, split: SplitName) -> list[int]:
    targets = dataset.targets[getattr(splits, split)]
    return [int(count) for count in np.bincount(targets, minlength=len(dataset.class_names))]


@pytest.mark.parametrize("numbers", [[3, 3], [3, 40, 500], [10, 11, 12, 13], [1000, 3]])
@pytest.mark.parametrize("fractions", [(0.1, 0.2), (0.01, 0.01), (0.9, 0.9), (0.5, 0.0)])
def test_every_picture_is_in_one_split_and_every_class_in_every_split(
    numbers: list[int], fractions: tuple[float, float]
) -> None:
    dataset = dataset_of({None: numbers})
    splits = make_splits(dataset, val_fraction=fractions[0], test_fraction=fractions[1])
    joined = np.concatenate([splits.train, splits.val, splits.test])
    assert sorted(joined) == list(range(len(dataset)))
    for split in SPLIT_NAMES:
        indices = getattr(splits, split)
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
        assert min(counts_of(dataset, splits, split)) >= (0 if split == "test" and not fractions[1] else 1)


def test_fractions_are_of_each_class_and_val_is_of_what_test_leaves() -> None:
    dataset = dataset_of({None: [100, 1000]})
    splits = make_splits(dataset, val_fraction=0.1, test_fraction=0.2)
    assert counts_of(dataset, splits, "test") == [20, 200]
    assert counts_of(dataset, splits, "val") == [8, 80]
    assert counts_of(dataset, splits, "train") == [72, 720]


def test_cifar_numbers() -> None:
    splits = make_splits(dataset_of({"train": [5000] * 10, "test": [1000] * 10}))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (45_000, 5_000, 10_000)


def test_splits_that_the_source_brings_are_kept() -> None:
    dataset = dataset_of({"train": [10, 10], "val": [4, 0], "test": [0, 3]})
    splits = make_splits(dataset)
    for split in SPLIT_NAMES:
        assert {dataset.samples[i].split for i in getattr(splits, split)} == {split}


def test_a_missing_test_split_comes_from_train_and_only_when_asked_for() -> None:
    dataset = dataset_of({"train": [10, 20], "val": [4, 4]})
    splits = make_splits(dataset, test_fraction=0.2)
    assert counts_of(dataset, splits, "test") == [2, 4]
    assert {dataset.samples[i].split for i in splits.test} == {"train"}
    assert len(splits.val) == 8
    without = make_splits(dataset, test_fraction=0)
    assert (len(without.train), len(without.val), len(without.test)) == (30, 8, 0)


def test_the_seed_decides() -> None:
    dataset = dataset_of({None: [50, 50]})
    first, again, other = (make_splits(dataset, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, again.train)
    assert not np.array_equal(first.train, other.train)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({None: [5]}, r"only one class \(a\)"),
        ({None: [5, 2]}, r"train and val and test, each class needs 3: b \(2\).*draw no test split"),
        ({"train": [5, 1], "test": [1, 1]}, r"train and val, each class needs 2: b \(1\).*remove the class"),
        ({"test": [5, 5]}, "no training pictures"),
    ],
)
def test_what_cannot_be_split_is_said(counts: Mapping[SplitName | None, list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_splits(dataset_of(counts))


def test_two_pictures_a_class_are_enough_without_a_test_split() -> None:
    splits = make_splits(dataset_of({None: [2, 2]}), test_fraction=0)
    assert (len(splits.train), len(splits.val)) == (2, 2)


def test_without_leaves_samples_out_of_every_split() -> None:
    splits = make_splits(dataset_of({None: [20, 20]}))
    rest = splits.without([0, 1, 2, 39])
    assert sorted(np.concatenate([rest.train, rest.val, rest.test])) == list(range(3, 39))


def test_saved_splits_load_identically_in_any_order_of_the_dataset(tmp_path: Path) -> None:
    dataset = dataset_of({None: [20, 20]}, class_names='é"')
    splits = make_splits(dataset).without([3])
    save_splits(splits, dataset, tmp_path / "splits.csv")
    loaded = load_splits(tmp_path / "splits.csv", dataset)
    reversed_dataset = dataset.subset(range(len(dataset))[::-1])
    from_reversed = load_splits(tmp_path / "splits.csv", reversed_dataset)
    for split in SPLIT_NAMES:
        np.testing.assert_array_equal(getattr(loaded, split), getattr(splits, split))
        paths = {dataset.samples[i].path for i in getattr(loaded, split)}
        assert {reversed_dataset.samples[i].path for i in getattr(from_reversed, split)} == paths


def test_a_file_from_a_spreadsheet_loads(tmp_path: Path) -> None:
    dataset = dataset_of({None: [5, 5]})
    save_splits(make_splits(dataset), dataset, tmp_path / "splits.csv")
    text = (tmp_path / "splits.csv").read_text(encoding="utf-8")
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(load_splits(tmp_path / "excel.csv", dataset).val, make_splits(dataset).val)


def test_wrong_lines_are_named(tmp_path: Path) -> None:
    dataset = Dataset(
        "made",
        "made",
        tuple(Sample(f"{i}.jpg", i % 2) for i in range(4)),
        ("a", "b"),
        ArrayStore({"all": np.zeros((1, 2, 2, 3), np.uint8)}),
    )
    path = tmp_path / "splits.csv"
    right = ["path,label,split", "0.jpg,a,train", "1.jpg,b,train", "2.jpg,a,val", "3.jpg,b,val"]

    def fails_with(lines: list[str] | bytes, message: str) -> None:
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        with pytest.raises(DataError, match=message) as caught:
            load_splits(path, dataset)
        assert "\n" not in str(caught.value)

    fails_with([*right, "9.jpg,a,train"], "line 6: the dataset has no picture 9.jpg")
    fails_with([*right, "0.jpg,a,train"], "line 6: 0.jpg is listed twice")
    fails_with([*right[:4], "3.jpg,a,val"], "line 5: 3.jpg has the label a, but the dataset says b")
    fails_with([*right[:4], "3.jpg,b,holdout"], "line 5: 'holdout' is no split")
    fails_with([*right[:4], "3.jpg,b"], "line 5: 2 cells")
    fails_with(right[:4], "lacks 1 of the dataset's pictures, the first is 3.jpg")
    fails_with([line.replace("val", "test") for line in right], "leaves no validation picture")
    fails_with(right[1:], "line 1: the columns must be path,label,split")
    fails_with(b"", "line 1: the columns must be")
    fails_with(b"path,label,split\n\xff\xfe,a,train\n", "not a CSV file in UTF-8")
    with pytest.raises(DataError, match="cannot read the splits file"):
        load_splits(tmp_path / "nothing.csv", dataset)
