import json

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from frostline.errors import DataError
from frostline.results.metrics import Metrics, accuracy_interval, compute_metrics
from frostline.results.predictions import Predictions


def make_predictions(targets: list[int], labels: list[int], classes: int, confidence: float = 0.9) -> Predictions:
    probabilities = np.full((len(targets), classes), (1 - confidence) / (classes - 1))
    probabilities[np.arange(len(targets)), labels] = confidence
    names = tuple(f"class {index}" for index in range(classes))
    paths = tuple(f"test/{index}" for index in range(len(targets)))
    return Predictions(paths, np.array(targets, dtype=np.int64), probabilities.astype(np.float32), names)


def random_predictions(pictures: int, classes: int) -> Predictions:
    random = np.random.default_rng(classes)
    probabilities = random.dirichlet(np.full(classes, 0.3), pictures).astype(np.float32)
    names = tuple(map(str, range(classes)))
    return Predictions(("x",) * pictures, random.integers(0, classes, pictures), probabilities, names)


@pytest.mark.parametrize("classes", [2, 7, 40])
def test_figures_agree_with_scikit_learn(classes: int) -> None:
    predictions = random_predictions(2000, classes)
    targets, labels = predictions.targets, predictions.labels
    metrics = compute_metrics(predictions, "test")
    normalised = predictions.probabilities.astype(np.float64)
    normalised /= normalised.sum(axis=1, keepdims=True)
    assert metrics.accuracy == accuracy_score(targets, labels)
    assert metrics.macro_f1 == pytest.approx(f1_score(targets, labels, average="macro"))
    assert metrics.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, labels))
    assert np.isclose(metrics.loss, log_loss(targets, normalised, labels=range(classes)), rtol=1e-2)
    counts = np.array(metrics.confusion_matrix)
    assert counts.sum() == metrics.pictures == len(predictions)
    assert counts.trace() / counts.sum() == metrics.accuracy
    assert counts.sum(axis=1).tolist() == [entry.support for entry in metrics.per_class]


def test_top5_is_the_share_with_the_true_class_among_five() -> None:
    predictions = random_predictions(500, 12)
    ranks = (predictions.probabilities > predictions.probabilities[np.arange(500), predictions.targets, None]).sum(1)
    assert compute_metrics(predictions, "test").top5_accuracy == pytest.approx((ranks < 5).mean())


@pytest.mark.parametrize(("classes", "has_top5"), [(2, False), (5, False), (6, True)])
def test_top5_only_with_more_than_five_classes(classes: int, has_top5: bool) -> None:
    assert (compute_metrics(random_predictions(20, classes), "val").top5_accuracy is not None) == has_top5


def test_interval_is_wilsons() -> None:
    # 8 of 10: the worked figures of Newcombe (1998), method 3, to four places.
    metrics = compute_metrics(make_predictions([0] * 10, [0] * 8 + [1] * 2, 2), "test")
    assert (metrics.accuracy_low, metrics.accuracy_high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert accuracy_interval(8, 10) == (metrics.accuracy_low, metrics.accuracy_high)


@pytest.mark.parametrize("pictures", [1, 7, 100, 10_000])
def test_an_interval_holds_its_accuracy_and_stays_between_0_and_1(pictures: int) -> None:
    for right in {0, 1, pictures // 2, pictures - 1, pictures}:
        low, high = accuracy_interval(right, pictures)
        assert 0 <= low < high <= 1
        assert low - 1e-12 <= right / pictures <= high + 1e-12


def test_the_intervals_of_a_class_are_over_its_own_pictures_and_its_own_answers() -> None:
    # Of 4 pictures of class 0, 3 are right; 5 are taken for it. Class 2 has no picture and 2 are taken for it.
    metrics = compute_metrics(make_predictions([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 2, 0, 0, 2, 1], 4), "test")
    entry = metrics.per_class[0]
    assert (entry.recall_low, entry.recall_high) == accuracy_interval(3, 4)
    assert (entry.precision_low, entry.precision_high) == accuracy_interval(3, 5)
    taken_for, unknown = metrics.per_class[2:]
    assert (taken_for.recall_low, taken_for.recall_high) == (0, 1)
    assert (taken_for.precision_low, taken_for.precision_high) == accuracy_interval(0, 2)
    assert (unknown.precision_low, unknown.precision_high) == (0, 1)


def test_a_class_without_pictures_has_zeros_and_does_not_count_in_means() -> None:
    metrics = compute_metrics(make_predictions([0, 0, 1, 1], [0, 2, 1, 1], 4), "test")
    predicted_only, unseen = metrics.per_class[2:]
    for entry in (predicted_only, unseen):
        assert (entry.precision, entry.recall, entry.f1, entry.support) == (0, 0, 0, 0)
    assert metrics.balanced_accuracy == pytest.approx((0.5 + 1) / 2)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 1) / 2)


def test_all_right_and_all_wrong() -> None:
    right = compute_metrics(make_predictions([0, 1, 2], [0, 1, 2], 3, confidence=1.0), "test")
    assert (right.accuracy, right.loss, right.macro_f1) == (1, 0, 1)
    assert right.accuracy_high == pytest.approx(1)
    assert right.largest_confusions(5) == []
    wrong = compute_metrics(make_predictions([0, 1, 2], [1, 2, 0], 3, confidence=1.0), "test")
    assert (wrong.accuracy, wrong.macro_f1) == (0, 0)
    assert np.isfinite(wrong.loss)
    assert wrong.accuracy_low == pytest.approx(0)


def test_largest_confusions_are_sorted_and_limited() -> None:
    metrics = compute_metrics(make_predictions([0, 0, 0, 0, 1, 1], [1, 1, 1, 0, 2, 1], 3), "test")
    first, second = metrics.largest_confusions(10)
    assert (first.true, first.predicted, first.count, first.share) == ("class 0", "class 1", 3, 0.75)
    assert (second.true, second.predicted, second.count, second.share) == ("class 1", "class 2", 1, 0.5)
    assert metrics.largest_confusions(1) == [first]


@pytest.mark.parametrize("classes", [2, 8])
def test_metrics_come_back_from_json(classes: int) -> None:
    metrics = compute_metrics(random_predictions(50, classes), "val")
    text = json.dumps(metrics.to_dict(), allow_nan=False)
    assert TypeAdapter(Metrics).validate_json(text) == metrics
    assert TypeAdapter(Metrics).validate_python(metrics.to_dict()) == metrics


def test_imbalance_is_noticed_from_over_three_to_one() -> None:
    for rare, imbalanced in ((1, True), (2, False), (0, False)):
        targets = [0] * 6 + [1] * rare
        assert compute_metrics(make_predictions(targets, targets, 3), "test").imbalanced == imbalanced


def test_an_empty_split_is_named() -> None:
    with pytest.raises(DataError, match="the test split has no pictures"):
        compute_metrics(make_predictions([], [], 2), "test")
