"""Features of a dataset's pictures by the default backbone, for other benchmarks."""

import numpy as np
from numpy.typing import NDArray

from frostline import progress
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.splits import Splits
from frostline.model.engines import make_engine
from frostline.training.setup import build_model, load_configured_backbone, make_batches
from frostline.training.start import features_of


def compute_features(dataset: Dataset, size: int) -> NDArray[np.float32]:
    """Pooled features of every picture, (pictures, features), by the default backbone at `size` px."""
    loaded, config = load_configured_backbone(dataset, TrainConfig(size=size, trainable_layers=0))
    model = build_model(dataset, loaded, config)
    pixels, _ = read_pixels(dataset, size=size, resize_mode=config.resize_mode)
    everything = np.arange(len(dataset))
    splits = Splits(everything, everything[:1], everything[:0])
    batches = make_batches(model, dataset, pixels, splits, config)
    shape = tuple(batches.activations.read(everything[:1], 0).shape[1:])
    body = make_engine(model.frozen.body, shape, model.device)
    with progress.phase("features", len(dataset)) as advance:
        return features_of(body, batches, everything, advance)
