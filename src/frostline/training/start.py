"""The head's start: the linear probe of the features that the network gives before any training."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.model.engines import Engine, make_engine
from frostline.model.head import set_linear
from frostline.progress import Advance, phase
from frostline.results.history import EpochRecord
from frostline.training.activations import Activations
from frostline.training.batches import ActivationBatches
from frostline.training.cross_fit import CrossFit, Fit, OutOfFold, stacked
from frostline.training.defaults import FEW_PICTURES
from frostline.training.probe import FEW_DECAY, FEW_LAST_SHARE, fit_probe, loss_and_accuracy
from frostline.training.setup import Model

PROBE_PICTURES = 50_000
"""Training pictures that the probe is fitted on at most, so that memory does not grow with the dataset."""

_BATCH = 256


def require_start(config: TrainConfig) -> None:
    """Raise `ConfigError` where the options leave a head without a start, or with one that it cannot have."""
    if config.starts_with_probe and config.head_width:
        raise ConfigError("head_start probe is a linear head: give --head-width 0 with it, or --head-start random")
    if not config.starts_with_probe and config.epochs == 0:
        raise ConfigError("with 0 epochs nothing is trained: give --epochs, or --head-start probe --head-width 0")


@dataclass(frozen=True)
class Start:
    """What the head's start came to."""

    record: EpochRecord
    """Its figures, as those of epoch 0."""
    judged: OutOfFold | None
    """What was said of pictures out of fold, where the head learnt from the validation pictures too."""


def start_head(
    model: Model, batches: ActivationBatches, class_weights: torch.Tensor | None, cross_fit: CrossFit | None = None
) -> Start:
    """Set the head to the linear probe of the features of the training pictures as they are.

    With a `cross_fit`, those are its pictures, as they are and mirrored if it says so, and probes of its parts give the
    validation figures.
    """
    started = time.monotonic()
    train = some_training_pictures(batches, PROBE_PICTURES)
    targets, judged = batches.targets, None
    fit = make_fit(model, class_weights, len(train))
    if cross_fit is None:
        features, val_features = _features_of_both(model, batches, train)
        probe = fit(features, targets[train])
        val_loss, val_accuracy = loss_and_accuracy(probe.logits(val_features), targets[batches.val_indices])
    else:
        views = _views_of(model, batches, train, mirrors=cross_fit.mirrors)
        judged = batches.ranks.from_first(cross_fit.judge(fit, views, targets[train]))
        probe = fit(*stacked(views, targets[train]))
        val_loss, val_accuracy = loss_and_accuracy(judged.logits, targets[judged.indices])
    set_linear(model.tail.head, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
    seconds = time.monotonic() - started
    record = EpochRecord(
        epoch=0,
        train_loss=probe.train_loss,
        train_accuracy=probe.train_accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        learning_rate=0.0,
        seconds=seconds,
        pictures_per_second=len(train) / max(seconds, 1e-9),
    )
    return Start(batches.ranks.from_first(record), judged)


def make_fit(model: Model, class_weights: torch.Tensor | None, pictures: int) -> Fit:
    """Fits a probe as it suits the number of training pictures."""
    weights = None if class_weights is None else class_weights.cpu().numpy()
    fit = partial(fit_probe, class_weights=weights, depths=model.depths)
    return partial(fit, decay=FEW_DECAY, last_share=FEW_LAST_SHARE) if pictures <= FEW_PICTURES else fit


def _features_of_both(
    model: Model, batches: ActivationBatches, train: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The features of training and of validation pictures."""
    body = body_engine(model, batches)
    with phase("features", len(batches.ranks.share(np.union1d(train, batches.val_indices)))) as advance:
        features = features_of(body, batches, train, advance)
        return features, features_of(body, batches, batches.val_indices, advance)


def _views_of(
    model: Model, batches: ActivationBatches, indices: NDArray[np.int64], *, mirrors: bool
) -> list[NDArray[np.float32]]:
    """The features of pictures as they are and, if it mirrors them, of the mirrored ones."""
    body = body_engine(model, batches)
    kinds = (False, True) if mirrors else (False,)
    with phase("features", len(kinds) * len(batches.ranks.share(indices))) as advance:
        return [features_of(body, batches, indices, advance, mirrored=mirrored) for mirrored in kinds]


def some_training_pictures(batches: ActivationBatches, most: int) -> NDArray[np.int64]:
    """Training pictures by their index in the dataset, sorted: all of them, or a sample where there are more."""
    train = batches.train_indices
    if len(train) > most:
        train = np.random.default_rng(batches.seed).choice(train, most, replace=False)
    return np.sort(train)


def body_engine(model: Model, batches: ActivationBatches) -> Engine:
    """Runs the backbone above the cut as it is now, from activations to pooled features."""
    shape = tuple(batches.activations.read(batches.train_indices[:1], 0).shape[1:])
    return make_engine(model.frozen.body, shape, model.device)


def features_of(
    body: Engine,
    batches: ActivationBatches,
    indices: NDArray[np.int64],
    advance: Advance,
    *,
    mirrored: bool = False,
) -> NDArray[np.float32]:
    """Pooled features of pictures as they are, or mirrored, (N, features), from their activations by the body.

    Each rank computes those of its own pictures, and gets all of them.
    """
    own = batches.ranks.share(indices)
    read = _read_mirrored if mirrored else _read
    found: torch.Tensor | None = None
    for start in range(0, max(len(own), 1), _BATCH):
        rows = body(read(batches.activations, own[start : start + _BATCH])).float()
        if found is None:
            found = rows.new_empty(len(own), rows.shape[1])
        found[start : start + len(rows)] = rows
        advance(len(rows))
    assert found is not None
    return batches.ranks.join_rows(indices, found.cpu().numpy())


def _read(activations: Activations, indices: NDArray[np.int64]) -> torch.Tensor:
    return activations.read(indices, 0)


def _read_mirrored(activations: Activations, indices: NDArray[np.int64]) -> torch.Tensor:
    """Activations of the mirrored pictures, which are not kept: they are few."""
    if not len(indices):
        return activations.read(indices, 0)
    return activations.through_trunk(activations.views(indices, 0).flip(-1))
