"""What a classifier knows of its own answers: distances, thresholds and temperatures, saved and loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.model.prediction import are_unsure
from frostline.model.trust import TrainingFeatures, Trust
from frostline.results.calibration import Scaling


def draw_features(pictures: int, seed: int = 0, width: int = 24) -> NDArray[np.float32]:
    """Features as a network has them after its last activation: not negative, many of them zero."""
    return np.random.default_rng(seed).normal(0, 1, (pictures, width)).clip(min=0).astype(np.float32)


def test_a_training_picture_has_no_distance() -> None:
    features = draw_features(200)
    distances = TrainingFeatures.fit(features).distances(features)
    assert distances.shape == (200,)
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, 0, atol=2e-3)


def test_the_distance_is_one_minus_the_cosine_to_the_nearest() -> None:
    known = TrainingFeatures.fit(np.array([[1, 0, 0], [0, 2, 0]], dtype=np.float32))
    asked = np.array([[3, 0, 0], [1, 1, 0], [0, 0, 5], [-1, 0, 0], [4, 3, 0]], dtype=np.float32)
    expected = [0, 1 - np.sqrt(0.5), 1, 1, 0.2]
    np.testing.assert_allclose(known.distances(asked), expected, atol=1e-3)


def test_distances_agree_with_a_plain_search() -> None:
    train, asked = draw_features(50), draw_features(20, seed=1)
    cosines = [
        [float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for b in train.astype(np.float64)]
        for a in asked.astype(np.float64)
    ]
    found = TrainingFeatures.fit(train).distances(asked)
    np.testing.assert_allclose(found, 1 - np.max(cosines, axis=1), atol=2e-3)


@pytest.mark.parametrize("factor", [1e-4, 7.0, 1e4])
def test_a_scale_changes_no_distance(factor: float) -> None:
    train, asked = draw_features(50), draw_features(20, seed=1)
    plain = TrainingFeatures.fit(train).distances(asked)
    np.testing.assert_allclose(TrainingFeatures.fit(factor * train).distances(asked), plain, atol=2e-3)
    np.testing.assert_allclose(TrainingFeatures.fit(train).distances(factor * asked), plain, atol=1e-5)


def test_no_features_at_all_are_far_and_finite() -> None:
    nothing = np.zeros((1, 24), dtype=np.float32)
    np.testing.assert_array_equal(TrainingFeatures.fit(draw_features(10)).distances(nothing), [1])
    np.testing.assert_array_equal(TrainingFeatures.fit(nothing).distances(draw_features(2)), [1, 1])


def test_the_features_are_left_as_they_were() -> None:
    features = draw_features(10)
    kept = features.copy()
    TrainingFeatures.fit(features).distances(features)
    np.testing.assert_array_equal(features, kept)


@pytest.mark.parametrize("pictures", [1, 50, 99, 100, 1000])
def test_one_percent_of_the_validation_pictures_is_far_at_most(pictures: int) -> None:
    distances = np.random.default_rng(0).random(pictures, dtype=np.float32)
    threshold = TrainingFeatures.fit(draw_features(5)).with_threshold(distances).threshold
    far = (distances > threshold).sum()
    assert far <= 0.01 * pictures
    assert far >= 0.01 * pictures - 1


def test_without_a_threshold_nothing_is_far() -> None:
    known = TrainingFeatures.fit(draw_features(5))
    assert not (known.distances(-draw_features(5, seed=1)) > known.threshold).any()


def test_probabilities_are_softened_by_the_temperature() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    for temperature in (0.5, 1.0, 4.0):
        found = Trust(Scaling(temperature)).probabilities(logits)
        expected = 1 / (1 + np.exp(-2 / temperature))
        np.testing.assert_allclose(found, [[expected, 1 - expected], [0.5, 0.5]], rtol=1e-6)
        assert found.dtype == np.float32


def test_logits_in_any_order_of_memory_and_none_at_all() -> None:
    logits = draw_features(6, width=4)
    np.testing.assert_array_equal(
        Trust().probabilities(np.asfortranarray(logits)[:, ::-1]), Trust().probabilities(logits[:, ::-1].copy())
    )
    assert Trust().probabilities(logits[:0]).shape == (0, 4)


def test_unsure_is_what_lies_below_the_threshold() -> None:
    probabilities = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]], dtype=np.float32)
    assert are_unsure(probabilities, None).tolist() == [False, False, False]
    assert are_unsure(probabilities, 0.75).tolist() == [True, False, True]
    assert are_unsure(probabilities, float(np.float32(0.7))).tolist() == [False, False, True]


def test_saved_trust_comes_back(tmp_path: Path) -> None:
    training = TrainingFeatures.fit(draw_features(30)).with_threshold(np.linspace(0, 0.3, 200, dtype=np.float32))
    trust = Trust(Scaling(1.37, 0.4, 2.5), 0.912345, training)
    values = json.loads(json.dumps(trust.save(tmp_path)))
    loaded = Trust.load(values, tmp_path)
    assert (loaded.scaling, loaded.unsure_below) == (trust.scaling, trust.unsure_below)
    assert loaded.training is not None
    assert loaded.training.threshold == training.threshold
    assert loaded.training.directions.dtype == np.float16
    np.testing.assert_array_equal(loaded.training.directions, training.directions)
    asked = draw_features(10, seed=1)
    np.testing.assert_array_equal(loaded.training.distances(asked), training.distances(asked))


def test_a_classifier_that_knows_nothing_of_itself_comes_back(tmp_path: Path) -> None:
    values = json.loads(json.dumps(Trust().save(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    loaded = Trust.load(values, tmp_path)
    assert (loaded.scaling, loaded.unsure_below, loaded.training) == (Scaling(), None, None)
