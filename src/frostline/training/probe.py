"""The closed-form start: a head that is a regularised logistic regression on the pretrained network's features.

A linear probe before fine-tuning keeps the first steps from wrecking the pretrained layers (Kumar et al. 2022,
arXiv:2202.10054).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DECAY = 3e-3
"""Weight decay on scaled features. From 1e-3 to 1e-1 it hardly matters (docs/log.md)."""

_LEAST_VARIANCE = 1e-12
"""Below which all features of a depth are constant."""

FEW_DECAY = 0.1
FEW_LAST_SHARE = 0.5
"""`decay` and `last_share` where pictures are few (docs/log.md)."""

_STEPS = 50
"""Iterations of L-BFGS; more of them fit the training pictures better and the validation pictures no better."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features: logits are features @ weight.T + bias."""

    weight: NDArray[np.float32]
    """Shape (classes, features)."""
    bias: NDArray[np.float32]
    """Shape (classes,)."""
    train_loss: float
    """Mean cross-entropy (nats) on the features that it was fitted on."""
    train_accuracy: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """From features (N, features) to logits (N, classes)."""
        return features @ self.weight.T + self.bias


def fit_probe(
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    class_weights: NDArray[np.float32] | None = None,
    *,
    depths: Sequence[int] | None = None,
    decay: float = DECAY,
    last_share: float | None = None,
) -> Probe:
    """Multinomial logistic regression by L-BFGS on scaled features, (N, features), for classes 0 to the largest.

    `class_weights` (classes,) weigh each class's loss, `depths` are how many features come from each depth of the
    network, one behind the other, `decay` is that of the weights. `last_share` is the part of the features' variance
    that the last of several depths has after scaling; None: that of its features. The features are scaled where they
    are, without a copy.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, scale = _standardise(features, depths or [features.shape[1]], last_share)
    model = LogisticRegression(C=1 / (decay * len(features)), max_iter=_STEPS)
    with warnings.catch_warnings(), threadpool_limits(1):  # more threads wait for each other in every iteration
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a start
        model.fit(features, targets, sample_weight=None if class_weights is None else class_weights[targets])
    weight, bias = _per_class(model.coef_, model.intercept_)
    loss, accuracy = loss_and_accuracy(features @ weight.T.astype(np.float32) + bias, targets)
    weight = weight * scale
    return Probe(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32), loss, accuracy)


def _standardise(
    features: NDArray[np.float32], depths: Sequence[int], last_share: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make every column's mean 0 and its deviation at most 1, in place; returns what was subtracted and multiplied by.

    To a feature's variance that of its depth is added: divided by its own deviation alone, a feature that is hardly
    ever active would count as much as any other, and with few pictures it says nothing (docs/log.md).
    """
    mean = features.mean(0)
    features -= mean
    variance = np.einsum("nf,nf->f", features, features) / len(features)
    of_depth = np.concatenate([np.full(len(part), part.mean()) for part in np.split(variance, np.cumsum(depths)[:-1])])
    scale = 1 / np.sqrt(np.maximum(variance + of_depth, _LEAST_VARIANCE))
    if last_share is not None and len(depths) > 1:
        scale *= _weights_of_depths(variance * scale**2, depths[-1], last_share)
    scale = scale.astype(np.float32)
    features *= scale
    return mean, scale


def _weights_of_depths(variance: NDArray[np.floating[Any]], last: int, share: float) -> NDArray[np.float64]:
    """What to multiply features of these variances by, so that the `last` of them have this share of the sum."""
    sums = np.array([variance[:-last].sum(), variance[-last:].sum()], dtype=np.float64)
    wanted = np.array([1 - share, share]) * sums.sum()
    weights: NDArray[np.float64] = np.sqrt(wanted / np.maximum(sums, _LEAST_VARIANCE))
    return np.repeat(weights, [len(variance) - last, last])


def loss_and_accuracy(logits: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> tuple[float, float]:
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
