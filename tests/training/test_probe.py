"""The probe is the optimum of a regularised logistic regression, whatever the features' scale."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from frostline.training.probe import DECAY, Probe, fit_probe, loss_and_accuracy


def clusters(classes: int, count: int = 600, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Overlapping clusters in 12 dimensions, one of which is constant."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 12))
    targets = rng.integers(0, classes, count)
    features = centres[targets] + rng.normal(0, 1.5, (count, 12))
    features[:, 3] = 7.0
    return features.astype(np.float32), targets


def fit(classes: int, scale: float = 1.0, shift: float = 0.0, weights: NDArray[np.float32] | None = None) -> Probe:
    features, targets = clusters(classes)
    return fit_probe(features * scale + shift, targets, weights)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_gradient_vanishes_at_the_probe(classes: int) -> None:
    features, targets = clusters(classes)
    probe = fit(classes)
    assert probe.weight.shape == (classes, 12)
    loss, accuracy = loss_and_accuracy(probe.logits(features), targets)
    assert probe.train_loss == pytest.approx(loss, rel=1e-4)
    assert probe.train_accuracy == accuracy
    mean, variance = features.mean(0), features.var(0)
    scale = np.sqrt(variance + variance.mean())
    residuals = softmax(probe.logits(features).astype(np.float64), axis=1) - np.eye(classes)[targets]
    gradient = residuals.T @ ((features - mean) / scale) / len(features)
    weight = probe.weight * scale
    if classes == 2:  # scikit-learn penalises the difference of the two rows
        gradient, weight = (values[1] - values[0] for values in (gradient / 2, weight))
    assert np.abs(gradient + DECAY * weight).max() < 2e-3
    assert np.abs(residuals.mean(0)).max() < 2e-3


def test_features_of_any_scale_give_the_same_logits() -> None:
    features, _ = clusters(5)
    first, second = fit(5), fit(5, scale=200.0, shift=-50.0)
    np.testing.assert_allclose(second.logits(features * 200 - 50), first.logits(features), atol=0.02)


def test_each_depth_has_a_scale_of_its_own() -> None:
    features, targets = clusters(5)
    by_depth = np.repeat([1.0, 100.0, 0.01], [4, 4, 4]).astype(np.float32)
    probe = fit_probe(features.copy(), targets, depths=(4, 4, 4))
    scaled = fit_probe(features * by_depth, targets, depths=(4, 4, 4))
    np.testing.assert_allclose(scaled.logits(features * by_depth), probe.logits(features), atol=0.02)
    of_one = fit_probe(features * by_depth, targets)
    assert np.abs(of_one.logits(features * by_depth) - probe.logits(features)).max() > 0.5


def test_the_last_depth_has_the_share_that_it_is_given() -> None:
    """A share of one leaves the others out; the depths' own shares leave the probe as it is."""
    features, targets = clusters(5)
    plain, own, last = (
        fit_probe(features.copy(), targets, depths=(8, 4), last_share=share) for share in (None, 1 / 3, 1.0)
    )
    assert np.abs(last.weight[:, :8]).max() < 1e-6 < np.abs(last.weight[:, 8:]).min()
    assert np.abs(own.logits(features) - plain.logits(features)).max() < np.abs(last.logits(features)).max() / 10


def test_a_feature_that_is_hardly_ever_active_hardly_counts() -> None:
    """Divided by its own deviation, it would tell one picture by heart."""
    features, targets = clusters(2, 40)
    features[:, 5] = 0.0
    features[0, 5] = 0.1
    probe = fit_probe(features.copy(), targets)
    assert np.abs(probe.weight[:, 5]).max() < np.abs(probe.weight).max() / 3


def test_it_is_better_than_chance_on_new_points_and_the_figures_are_right() -> None:
    features, targets = clusters(5, 500, seed=2)
    logits = fit(5).logits(features)
    loss, accuracy = loss_and_accuracy(logits, targets)
    probabilities = softmax(logits.astype(np.float64), axis=1)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(500), targets]).mean())
    assert accuracy == (probabilities.argmax(1) == targets).mean() > 0.5
    assert loss < np.log(5)


def test_weights_move_the_border_towards_the_other_classes() -> None:
    features, _ = clusters(5, 2000, seed=3)
    plain = (fit(5).logits(features).argmax(1) == 0).mean()
    weighted = (fit(5, weights=np.array([10, 1, 1, 1, 1], np.float32)).logits(features).argmax(1) == 0).mean()
    assert weighted > plain + 0.05
