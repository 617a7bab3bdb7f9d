"""From a dataset and options to what the training loop needs: network, tail, batches and stage."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.decode import UnreadablePictureError
from frostline.data.pixels import Pixels
from frostline.data.splits import Splits
from frostline.model.backbone import Backbone, load_backbone, native_input
from frostline.model.classifier import Architecture, ImageClassifier, Network
from frostline.model.frost_line import FrozenBackbone, Tail, freeze_below
from frostline.model.head import make_head
from frostline.model.layers import trace_layers
from frostline.model.preprocessing import Preprocessing
from frostline.training.augment import PRESETS, Augmentation, Augmenter
from frostline.training.batches import ComputedBatches
from frostline.training.devices import choose_device, choose_precision
from frostline.training.fit import Stage
from frostline.training.trunk import make_engine

SMALLEST_SIZE = 64
"""Default input sizes are no smaller: below it the last layers of most backbones see one or two pixels."""

ENLARGEMENT = 3
"""Default input sizes enlarge small pictures by at most this factor."""


@dataclass(frozen=True)
class Training:
    """A run that is ready to be fitted."""

    classifier: ImageClassifier
    frozen: FrozenBackbone
    tail: Tail
    batches: ComputedBatches
    stage: Stage


def load_configured_backbone(dataset: Dataset, config: TrainConfig) -> tuple[Backbone, TrainConfig]:
    """Load the backbone, and settle the input size where the options leave it open. Raises `ModelError`."""
    size = config.size
    if size is None:
        native_size, is_fixed = native_input(config.backbone)
        size = native_size if is_fixed else choose_size(native_size, typical_side(dataset))
    backbone = load_backbone(config.backbone, weights=config.weights, size=size)
    return backbone, config.model_copy(update={"size": size})


def choose_size(native_size: int, side: int) -> int:
    """The default input size, in pixels, for pictures whose shorter side is typically `side`.

    The backbone's own size; for small pictures `ENLARGEMENT` times their side, rounded up to a multiple of 32, at
    least `SMALLEST_SIZE`.
    """
    enlarged = -(-side * ENLARGEMENT // 32) * 32
    return min(native_size, max(enlarged, SMALLEST_SIZE))


def typical_side(dataset: Dataset, count: int = 25) -> int:
    """Median of the shorter sides of some pictures, in pixels; those that cannot be read are passed over."""
    sides = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        try:
            sides.append(min(dataset.picture(int(index), min_side=512).shape[:2]))
        except UnreadablePictureError:
            continue
    return int(np.median(sides)) if sides else 512


def prepare(dataset: Dataset, pixels: Pixels, splits: Splits, backbone: Backbone, config: TrainConfig) -> Training:
    """Build the network, cut it at the frost line, and set up its batches. Raises `ConfigError`."""
    device = choose_device(config.device)
    frozen = freeze_below(trace_layers(backbone.module, backbone.size), config.trainable_layers, config.batch_norm)
    torch.manual_seed(config.seed)
    architecture = Architecture(config.backbone, config.head_width, config.head_activation, config.dropout)
    classes = len(dataset.class_names)
    head = make_head(
        backbone.features,
        classes,
        width=config.head_width,
        activation=config.head_activation,
        dropout=config.dropout,
    )
    network = Network(backbone.module, head).to(device)
    preprocessing = Preprocessing(backbone.size, backbone.mean, backbone.std, config.resize_mode)
    origin = {
        "dataset": dataset.name,
        "weights": {"description": backbone.weights.description, "sha256": backbone.weights.sha256},
    }
    batches = ComputedBatches(
        pixels=pixels,
        targets=dataset.targets,
        train_indices=splits.train,
        val_indices=splits.val,
        classes=classes,
        augmenter=Augmenter(preprocessing, choose_augmentation(config), config.seed),
        engine=make_engine(frozen.trunk, backbone.size, device),
        batch_size=config.batch_size,
        seed=config.seed,
        device=device,
    )
    return Training(
        ImageClassifier(architecture, network, preprocessing, dataset.class_names, origin),
        frozen,
        frozen.tail(head),
        batches,
        _make_stage(config, dataset.targets[splits.train], classes, device),
    )


def choose_augmentation(config: TrainConfig) -> Augmentation:
    """The preset of `--augment`, with the amounts that have options of their own."""
    names = Augmentation.__dataclass_fields__
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return replace(PRESETS[config.augment], **given)


def _make_stage(config: TrainConfig, targets: NDArray[np.int64], classes: int, device: torch.device) -> Stage:
    weights = balanced_weights(targets, classes).to(device) if config.class_weights == "balanced" else None
    return Stage(
        epochs=config.epochs,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        head_lr_multiplier=config.head_lr_multiplier,
        layer_decay=config.layer_decay,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        schedule=config.schedule,
        warmup_epochs=config.warmup_epochs,
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        class_weights=weights,
        patience=config.patience,
        seed=config.seed,
        precision=choose_precision(config.precision, device),
    )


def balanced_weights(targets: NDArray[np.int64], classes: int) -> Tensor:
    """Weight of each class, float32 (classes,): inverse to its frequency, one on average over the pictures."""
    counts = np.bincount(targets, minlength=classes)
    return torch.from_numpy((len(targets) / (classes * counts)).astype(np.float32))
