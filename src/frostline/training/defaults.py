"""What follows from the pictures, where the options leave it open: epochs and input size."""

import math
from typing import Any

import numpy as np

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.decode import UnreadablePictureError
from frostline.model.backbone import native_input

SMALLEST_SIZE = 64
"""Default input sizes are no smaller: below it the last layers of most backbones see one or two pixels."""

MOST_EPOCHS = 12
"""Epochs of a small dataset."""

FEWEST_EPOCHS = 4
"""Epochs of a large one."""

FEW_PICTURES = 1_000
"""Training and validation pictures, up to which the linear probe alone is better than what it starts, and a tenth of
them is missed by it (docs/log.md)."""

_PICTURES_SEEN = 180_000
"""Training pictures, counted in every epoch, between these."""

WARMUP_SHARE = 0.25
"""Part of the epochs in which the learning rate rises."""


def epochs_of(config: TrainConfig, pictures: int) -> int:
    """The epochs of the options; where they leave it open, by the training pictures: more need fewer (docs/log.md)."""
    if config.epochs is not None:
        return config.epochs
    return max(FEWEST_EPOCHS, min(_PICTURES_SEEN // max(pictures, 1), MOST_EPOCHS))


def settle_few(config: TrainConfig, dataset: Dataset, pictures: int) -> TrainConfig:
    """The options for so many training and validation pictures: the linear probe alone where those are few.

    Only where the weights are pretrained, and the options leave open how much is trained. Pictures that are smaller
    than those of the weights say little to the last layers, and are seen by features of all depths (docs/log.md).
    """
    is_open = config.epochs is None and config.trainable_layers is None and config.starts_with_probe
    if pictures > FEW_PICTURES or not is_open or config.weights == "none":
        return config
    native_size, is_fixed = native_input(config.backbone)
    chosen: dict[str, Any] = {"epochs": 0, "trainable_layers": 0}
    size = config.size or default_size(config, dataset)
    if "features" not in config.model_fields_set and size < native_size and not is_fixed:
        chosen["features"] = "depths"
    return config.model_copy(update=chosen)


def default_size(config: TrainConfig, dataset: Dataset) -> int:
    """The input size, in pixels, for the backbone of the options and the pictures' own size.

    A network that is tied to its native size keeps it; see `choose_size` for the others. Raises `ModelError` for an
    unknown backbone.
    """
    native_size, is_fixed = native_input(config.backbone)
    return native_size if is_fixed else choose_size(native_size, typical_side(dataset), config.enlarge)


def choose_size(native_size: int, side: int, enlarge: float) -> int:
    """The default input size, in pixels, for pictures whose shorter side is typically `side`.

    The backbone's own size; for small pictures `enlarge` times their side, rounded up to a multiple of 16, at least
    `SMALLEST_SIZE`.
    """
    enlarged = math.ceil(side * enlarge / 16) * 16
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
