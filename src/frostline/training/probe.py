"""The closed-form start: a head that is a regularised logistic regression on the pretrained network's features.

A linear probe before fine-tuning keeps the first steps from wrecking the pretrained layers (Kumar et al. 2022,
arXiv:2202.10054).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DECAYS = (1e-2, 1e-3, 1e-4)
"""Weight decays that are tried, on standardised features; validation pictures choose among them."""

_STEPS = 50
"""Iterations of L-BFGS for each weight decay, each starting where the one before has ended; more of them fit the
training pictures better and the validation pictures no better (docs/log.md)."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features: logits are features @ weight.T + bias."""

    weight: NDArray[np.float32]
    """Shape (classes, features)."""
    bias: NDArray[np.float32]
    """Shape (classes,)."""
    decay: float
    """The weight decay that was chosen."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """From features (N, features) to logits (N, classes)."""
        return features @ self.weight.T + self.bias


def fit_probe(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_targets: NDArray[np.int64],
    class_weights: NDArray[np.float32] | None = None,
) -> Probe:
    """Multinomial logistic regression by L-BFGS on standardised features, (N, features), for classes 0 to the largest.

    The weight decay with the lowest validation loss is chosen, from strong to weak: a weaker one is tried only while
    that gets better. `class_weights` (classes,) weigh each class's loss.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(0), features.std(0)
    scale = 1 / np.where(spread > 1e-6, spread, 1)
    standardised = (features - mean) * scale
    weights = None if class_weights is None else class_weights[targets]
    model = LogisticRegression(max_iter=_STEPS, warm_start=True)
    best: tuple[float, Probe] | None = None
    for decay in DECAYS:
        model.set_params(C=1 / (decay * len(features)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a start
            model.fit(standardised, targets, sample_weight=weights)
        weight, bias = _per_class(model.coef_, model.intercept_)
        weight = weight * scale
        probe = Probe(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), decay)
        loss, _ = loss_and_accuracy(probe.logits(val_features), val_targets)
        if best is not None and loss >= best[0]:
            break
        best = (loss, probe)
    assert best is not None
    return best[1]


def loss_and_accuracy(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy of logits (N, classes)."""
    from scipy.special import log_softmax

    losses = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets]
    return float(losses.mean()), float((logits.argmax(1) == targets).mean())


def _per_class(
    weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One row for each class; for two classes scikit-learn gives only the difference of the two."""
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
