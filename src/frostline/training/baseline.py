"""What a run's classifier has to beat: the linear probe of the pretrained features."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.model.head import make_head, set_linear
from frostline.model.network import Network
from frostline.model.network_classifier import NetworkClassifier
from frostline.progress import phase
from frostline.results.predictions import Predictions
from frostline.training.batches import ActivationBatches
from frostline.training.scoring import score_together
from frostline.training.setup import Model
from frostline.training.start import body_engine, features_of, make_fit, some_training_pictures

BASELINE_PICTURES = 10_000
"""Training pictures that the probe is fitted on at most where it is nothing but the baseline."""


def predict_baseline(
    model: Model, batches: ActivationBatches, dataset: Dataset, indices: NDArray[np.int64], config: TrainConfig
) -> Predictions:
    """What the linear probe of the pretrained features says of pictures; to be called before any training.

    Where the head starts from the probe, that is the classifier as it is. Elsewhere a probe is fitted, on up to
    `BASELINE_PICTURES` training pictures.
    """
    classifier = model.classifier if config.starts_with_probe else _probe_classifier(model, batches)
    return classifier.predictions_of(score_together(classifier, dataset, indices, "baseline", batches.ranks))


def _probe_classifier(model: Model, batches: ActivationBatches) -> NetworkClassifier:
    """A linear probe as a classifier; it shares the model's backbone."""
    train = some_training_pictures(batches, BASELINE_PICTURES)
    with phase("probe", len(batches.ranks.share(train))) as advance:
        features = features_of(body_engine(model, batches), batches, train, advance)
    probe = make_fit(model, None, len(train))(features, batches.targets[train])
    of = model.classifier
    head = make_head(features.shape[1], len(of.class_names), width=0, dropout=0.0)
    set_linear(head, torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
    network = Network(of.network.backbone, head.to(model.device))
    return NetworkClassifier(replace(of.architecture, head_width=0), network, of.preprocessing, of.class_names)
