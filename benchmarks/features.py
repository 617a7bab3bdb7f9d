"""Features of a dataset's pictures by the default backbone, for other benchmarks."""

import numpy as np
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.training import doctor
from frostline.training.setup import load_configured_backbone


def compute_features(dataset: Dataset, size: int) -> NDArray[np.float32]:
    """Pooled features of every picture, (pictures, features), by the default backbone at `size` px; none are kept."""
    config = TrainConfig(size=size, trainable_layers=0, augment="none", views=1, cache=False)
    backbone, config = load_configured_backbone(dataset, config)
    pixels, _ = read_pixels(dataset, size=size, resize_mode=config.resize_mode)
    return doctor.compute_features(dataset, config, backbone, pixels, np.arange(len(dataset)))
