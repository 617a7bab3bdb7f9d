"""Temperatures are recovered, errors are those worked out by hand, and thresholds answer as much as they can."""

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.results.calibration import (
    ANSWER_NOTHING,
    BINS,
    Scaling,
    coverage_curve,
    measure_answered,
    measure_calibration,
    reliability,
    threshold_for_accuracy,
    threshold_for_coverage,
)
from frostline.results.predictions import Predictions


def make_predictions(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> Predictions:
    names = tuple(map(str, range(probabilities.shape[1])))
    return Predictions(("x",) * len(targets), targets, probabilities.astype(np.float32), names)


def with_confidences(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> Predictions:
    """Two classes; the first is answered, with these confidences, of at least one half."""
    return make_predictions(np.stack([confidences, 1 - confidences], axis=1), np.where(right, 0, 1))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    softened: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return softened


def draw_calibrated(pictures: int, classes: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and targets that are drawn with the very probabilities that the logits give."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (pictures, classes))
    draws = random.random((pictures, 1))
    return logits, (softmax(logits).cumsum(axis=1) < draws).sum(axis=1).clip(max=classes - 1)


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_of_scaled_logits_is_their_factor(factor: float) -> None:
    logits, targets = draw_calibrated(20_000)
    for scaled in (factor * logits, (factor * logits).astype(np.float32)):
        found = Scaling.fit(scaled, targets)
        assert found.temperature == pytest.approx(factor, rel=0.03)
        assert found.power == pytest.approx(0, abs=0.03)


def test_logits_that_lost_their_size_get_it_back() -> None:
    logits, targets = draw_calibrated(20_000)
    sizes = np.random.default_rng(1).uniform(0.2, 5, (len(logits), 1))
    found = Scaling.fit(sizes * logits / np.abs(logits - logits.mean(1, keepdims=True)).mean(1, keepdims=True), targets)
    assert found.power == pytest.approx(1, abs=0.1)
    error = measure_calibration(make_predictions(found.probabilities(sizes * logits), targets)).error
    plain = Scaling.fit(sizes * logits, targets)
    assert error < measure_calibration(make_predictions(softmax(sizes * logits), targets)).error
    assert plain.power > 0.3


@pytest.mark.parametrize("classes", [2, 7])
def test_scaling_changes_no_answer_and_not_the_order_of_two(classes: int) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (500, classes)).astype(np.float32)
    scaling = Scaling(0.6, 0.9, 2.0)
    found = scaling.probabilities(logits)
    np.testing.assert_array_equal(found.argmax(1), logits.argmax(1))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    if classes == 2:
        margins = np.abs(logits[:, 0] - logits[:, 1])
        assert (np.diff(found.max(1)[np.argsort(margins)]) >= -1e-6).all()


def test_a_row_has_the_same_probabilities_whatever_stands_beside_it() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 9)).astype(np.float32)
    scaling = Scaling(1.3, 0.7, 2.0)
    alone = np.concatenate([scaling.probabilities(row[np.newaxis]) for row in logits])
    np.testing.assert_array_equal(alone, scaling.probabilities(logits))
    np.testing.assert_allclose(Scaling().probabilities(logits), softmax(logits.astype(float)), rtol=1e-5)
    assert np.isfinite(scaling.probabilities(np.zeros((1, 9), dtype=np.float32))).all()


@pytest.mark.parametrize("pictures", [1, 5, 30])
def test_few_pictures_that_are_all_right_do_not_give_certainty(pictures: int) -> None:
    logits = np.array([[2.0, 0.0, 0.0]]).repeat(pictures, axis=0)
    found = Scaling.fit(logits, np.zeros(pictures, dtype=np.int64))
    assert 0.2 < found.temperature < 1
    assert found.probabilities(logits).max() < 0.9999


def test_few_pictures_that_are_all_wrong_do_not_give_ignorance() -> None:
    logits = np.array([[6.0, 0.0, 0.0]]).repeat(5, axis=0)
    assert 1 < Scaling.fit(logits, np.ones(5, dtype=np.int64)).temperature < 10


def test_calibrated_probabilities_have_no_error() -> None:
    logits, targets = draw_calibrated(20_000)
    calibrated = measure_calibration(make_predictions(softmax(logits), targets))
    assert calibrated.error < 0.015
    for factor in (0.5, 3.0):
        scaled = measure_calibration(make_predictions(softmax(factor * logits), targets))
        assert scaled.error > 0.05
        assert scaled.brier > calibrated.brier


def test_error_and_brier_score_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]])
    predictions = make_predictions(probabilities, np.array([0, 0, 2]))
    found = measure_calibration(predictions)
    # The first two share a bin: confidence 0.9, half of them right. The third is alone: confidence 0.4, right.
    assert found.error == pytest.approx(2 / 3 * abs(0.9 - 0.5) + 1 / 3 * abs(0.4 - 1.0), abs=1e-6)
    squares = (0.01 + 0.01) + (0.81 + 0.81) + (0.09 + 0.09 + 0.36)
    assert found.brier == pytest.approx(squares / 3, abs=1e-6)


def test_the_worst_and_the_best_scores() -> None:
    certain = np.eye(3)[[0, 1, 2]]
    best = measure_calibration(make_predictions(certain, np.array([0, 1, 2])))
    worst = measure_calibration(make_predictions(certain, np.array([1, 2, 0])))
    assert (best.error, best.brier) == (0, 0)
    assert (worst.error, worst.brier) == (1, 2)


def test_bins_hold_every_picture_once() -> None:
    confidences = np.array([0.5, 0.55, 0.61, 0.999, 1.0, 1.0])
    right = np.array([True, False, True, True, False, True])
    bins = reliability(with_confidences(confidences, right))
    assert len(bins) == BINS
    assert bins[0].low == 0
    assert bins[-1].high == 1
    assert [each.low for each in bins[1:]] == [each.high for each in bins[:-1]]
    assert sum(each.pictures for each in bins) == 6
    assert bins[-1].pictures == 3
    assert bins[-1].accuracy == pytest.approx(2 / 3)
    assert bins[-1].confidence == pytest.approx(2.999 / 3)
    empty = [each for each in bins if not each.pictures]
    assert {(each.confidence, each.accuracy) for each in empty} == {(0, 0)}
    for each in bins:
        if each.pictures:
            assert each.low <= each.confidence + 1e-6
            assert each.confidence <= each.high + 1e-6


def draw_tied(seed: int) -> Predictions:
    """Few pictures with few different confidences."""
    random = np.random.default_rng(seed)
    pictures = int(random.integers(1, 12))
    confidences = random.choice([0.5, 0.6, 0.7, 0.8, 1.0], pictures)
    return with_confidences(confidences, random.random(pictures) < confidences)


def every_threshold(predictions: Predictions) -> list[float]:
    return sorted({*predictions.confidences.tolist(), 0.0, ANSWER_NOTHING})


@pytest.mark.parametrize("wanted", [0.3, 0.5, 2 / 3, 0.75, 0.9, 1.0])
def test_a_threshold_answers_the_largest_part_that_is_accurate_enough(wanted: float) -> None:
    for seed in range(60):
        predictions = draw_tied(seed)
        found = measure_answered(predictions, threshold_for_accuracy(predictions, wanted))
        tried = [measure_answered(predictions, threshold) for threshold in every_threshold(predictions)]
        reached = [each.pictures for each in tried if each.accuracy is not None and each.accuracy >= wanted]
        assert found.pictures == max(reached, default=0)
        if reached:
            assert found.accuracy is not None
            assert found.accuracy >= wanted
        else:
            assert found.threshold == ANSWER_NOTHING
            assert found.accuracy is None


@pytest.mark.parametrize("wanted", [0.01, 0.5, 0.9, 1.0])
def test_a_threshold_answers_the_smallest_part_that_is_large_enough(wanted: float) -> None:
    for seed in range(60):
        predictions = draw_tied(seed)
        found = measure_answered(predictions, threshold_for_coverage(predictions, wanted))
        tried = [measure_answered(predictions, threshold) for threshold in every_threshold(predictions)]
        assert found.coverage == min(each.coverage for each in tried if each.coverage >= wanted)


def test_the_coverage_curve_is_what_the_thresholds_give() -> None:
    for seed in range(30):
        predictions = draw_tied(seed)
        coverage, accuracy, thresholds = coverage_curve(predictions)
        assert coverage[-1] == 1
        assert len(set(thresholds.tolist())) == len(thresholds)
        for covered, right, threshold in zip(coverage, accuracy, thresholds.tolist(), strict=True):
            found = measure_answered(predictions, threshold)
            assert (found.coverage, found.accuracy) == (covered, right)


def test_nothing_is_answered_above_all_confidences() -> None:
    predictions = with_confidences(np.array([1.0, 0.9]), np.array([False, False]))
    assert threshold_for_accuracy(predictions, 0.5) == ANSWER_NOTHING
    found = measure_answered(predictions, ANSWER_NOTHING)
    assert (found.pictures, found.coverage, found.accuracy) == (0, 0, None)
