"""The head's start: the linear probe of the features that the network gives before any training."""

import time

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.model.engines import Engine, make_engine
from frostline.model.head import set_linear
from frostline.progress import Advance, phase
from frostline.results.history import EpochRecord
from frostline.training.batches import ActivationBatches
from frostline.training.probe import fit_probe, loss_and_accuracy
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


def start_head(model: Model, batches: ActivationBatches, class_weights: torch.Tensor | None) -> EpochRecord:
    """Set the head to the linear probe of the plain pictures' features; returns its figures, as those of epoch 0."""
    started = time.monotonic()
    train = some_training_pictures(batches, PROBE_PICTURES)
    body = body_engine(model, batches)
    with phase("features", len(batches.ranks.share(np.union1d(train, batches.val_indices)))) as advance:
        features = features_of(body, batches, train, advance)
        val_features = features_of(body, batches, batches.val_indices, advance)
    weights = None if class_weights is None else class_weights.cpu().numpy()
    probe = fit_probe(features, batches.targets[train], weights, depths=model.depths)
    set_linear(model.tail.head, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
    val_loss, val_accuracy = loss_and_accuracy(probe.logits(val_features), batches.targets[batches.val_indices])
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
    return batches.ranks.from_first(record)


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
    body: Engine, batches: ActivationBatches, indices: NDArray[np.int64], advance: Advance
) -> NDArray[np.float32]:
    """Pooled features of pictures as they are, (N, features), from their activations by the body.

    Each rank computes those of its own pictures, and gets all of them.
    """
    own = batches.ranks.share(indices)
    found: NDArray[np.float32] | None = None
    for start in range(0, max(len(own), 1), _BATCH):
        rows = body(batches.activations.read(own[start : start + _BATCH], 0)).float().cpu().numpy()
        if found is None:
            found = np.empty((len(own), rows.shape[1]), dtype=np.float32)
        found[start : start + len(rows)] = rows
        advance(len(rows))
    assert found is not None
    return batches.ranks.join_rows(indices, found)
