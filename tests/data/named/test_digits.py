import numpy as np
from sklearn.datasets import load_digits as load_original

from frostline.data.arrays import ArrayStore
from frostline.data.named.digits import load_digits


def test_digits_are_grey_spread_over_the_whole_range_and_unsplit() -> None:
    dataset = load_digits()
    assert len(dataset) == 1797
    assert dataset.class_names == tuple("0123456789")
    assert {sample.split for sample in dataset.samples} == {None}
    assert dataset.samples[42].path == "all/00042"
    assert isinstance(dataset.pictures, ArrayStore)
    pictures = dataset.pictures.read_many(dataset.samples)
    assert pictures.shape == (1797, 8, 8, 3)
    assert (pictures.min(), pictures.max()) == (0, 255)
    assert (pictures == pictures[..., :1]).all()
    original = load_original()
    np.testing.assert_array_equal(np.rint(pictures[..., 0] * (16 / 255)), original.images)
    np.testing.assert_array_equal(dataset.targets, original.target)
