import numpy as np
import pytest

from frostline.data.audit.neighbours import NEIGHBOURS, find_neighbours
from frostline.data.audit.outliers import find_outliers, mean_distances, robust_deviations


def clusters(count: int = 300, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (3, 32))
    return (centres[np.arange(count) % 3] + rng.normal(0, 1, (count, 32))).astype(np.float32)


def test_what_is_far_from_all_classes_comes_first() -> None:
    features = clusters()
    features[7] = np.random.default_rng(1).normal(0, 3, 32)
    outliers = find_outliers(features)
    assert outliers[0].index == 7
    assert outliers[0].distance > 0.3
    assert find_outliers(features, find_neighbours(features, NEIGHBOURS)) == outliers


def test_clean_classes_have_hardly_any_outlier() -> None:
    assert len(find_outliers(clusters(1000))) <= 5


def test_deviations_are_robust_and_measure_the_upper_half() -> None:
    values = np.concatenate([np.zeros(50), np.random.default_rng(0).normal(10, 1, 1000), [1000.0]])
    deviations = robust_deviations(values)
    assert deviations[-1] == pytest.approx(990, rel=0.1)
    assert not robust_deviations(np.ones(10)).any()


def test_neighbours_are_the_nearest_others() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (50, 8)).astype(np.float32)
    found = find_neighbours(vectors, 5)
    centred = vectors - vectors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :5])


def test_distances_are_of_all_features() -> None:
    features = np.array([[1, 0, 0], [0, 2, 0], [3, 3, 0]], dtype=np.float32)
    neighbours = np.array([[1, 2], [0, 2], [0, 1]])
    assert mean_distances(features, neighbours) == pytest.approx([1 - 0.5**1.5, 1 - 0.5**1.5, 1 - 0.5**0.5])


def test_fewer_pictures_than_neighbours() -> None:
    assert find_neighbours(np.eye(3, dtype=np.float32), 10).shape == (3, 2)
    assert find_neighbours(np.eye(1, dtype=np.float32), 10).shape == (1, 0)
