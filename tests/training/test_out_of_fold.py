"""Out-of-fold probabilities: learnt from the others alone, and the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from frostline.training.out_of_fold import FOLDS, out_of_fold_probabilities


def clusters(count: int = 200) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four clusters, one a class."""
    rng = np.random.default_rng(0)
    targets = np.arange(count) % 4
    features = rng.normal(size=(count, 8)) + 4 * np.eye(8)[targets]
    return features.astype(np.float32), targets


def test_a_flipped_label_is_not_believed() -> None:
    features, targets = clusters()
    flipped = targets.copy()
    flipped[:5] = (flipped[:5] + 1) % 4
    probabilities = out_of_fold_probabilities(features, flipped)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities.argmax(1) == targets).mean() > 0.97


def test_rows_that_belong_together_do_not_teach_each_other() -> None:
    """Noise with a copy of each row: whoever sees the copy knows the label; nobody should."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(100, 120)).astype(np.float32)
    features = np.concatenate([half, half])
    targets = np.tile(rng.integers(0, 2, 100), 2)
    together = [(row, row + 100) for row in range(100)]
    apart, kept = (
        (out_of_fold_probabilities(features, targets, groups).argmax(1) == targets).mean() for groups in ((), together)
    )
    assert apart > 0.8
    assert kept < 0.7


def test_the_same_seed_gives_the_same_and_nothing_is_changed() -> None:
    features, targets = clusters(FOLDS * 4)
    before = features.copy()
    first, second = (out_of_fold_probabilities(features, targets, seed=3) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(features, before)
