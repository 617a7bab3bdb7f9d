import numpy as np
import pytest

from frostline.data.arrays import ArrayStore, array_dataset
from frostline.data.dataset import Dataset


def _dataset() -> Dataset:
    generator = np.random.default_rng(0)
    train = generator.integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)
    test = generator.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    return array_dataset("made", "nowhere", {"train": (train, [0, 1] * 3 + [0]), "test": (test, [1, 0, 1])}, "ab", None)


def test_paths_are_unique_and_name_split_and_index() -> None:
    dataset = _dataset()
    assert [sample.path for sample in dataset.samples][6:8] == ["train/00006", "test/00000"]
    assert len({sample.path for sample in dataset.samples}) == len(dataset) == 10
    assert [sample.split for sample in dataset.samples] == ["train"] * 7 + ["test"] * 3
    assert dataset.targets.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_pictures_without_splits_have_none() -> None:
    dataset = array_dataset("made", "nowhere", {"all": (np.zeros((2, 1, 1, 3), np.uint8), [0, 1])}, "ab", None)
    assert [(sample.path, sample.split) for sample in dataset.samples] == [("all/00000", None), ("all/00001", None)]


def test_reading_many_equals_reading_one_by_one_in_any_order() -> None:
    dataset = _dataset()
    order = [*np.random.default_rng(1).permutation(10).tolist(), 0, 0, 9]
    assert isinstance(dataset.pictures, ArrayStore)
    many = dataset.pictures.read_many([dataset.samples[index] for index in order])
    assert many.dtype == np.uint8
    assert many.shape == (13, 5, 4, 3)
    for row, index in enumerate(order):
        np.testing.assert_array_equal(many[row], dataset.picture(index, min_side=2))
    assert dataset.pictures.read_many([]).shape == (0, 5, 4, 3)


def test_changing_what_was_read_does_not_change_the_store() -> None:
    dataset = _dataset()
    before = dataset.picture(0)
    dataset.picture(0)[:] = 0
    np.testing.assert_array_equal(dataset.picture(0), before)


def test_pictures_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        ArrayStore({"train": np.zeros((1, 4, 4, 3), np.uint8), "test": np.zeros((1, 5, 4, 3), np.uint8)})
    with pytest.raises(ValueError, match="one shape"):
        ArrayStore({"train": np.zeros((1, 4, 4, 1), np.uint8)})
