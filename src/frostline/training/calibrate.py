"""What a trained classifier learns about its own answers, from pictures that it was not trained on."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.errors import ConfigError
from frostline.model.network_classifier import Scores
from frostline.model.trust import TrainingFeatures, Trust
from frostline.progress import phase, say
from frostline.results.calibration import (
    ANSWER_NOTHING,
    Scaling,
    measure_answered,
    threshold_for_accuracy,
    threshold_for_coverage,
)
from frostline.results.predictions import Predictions
from frostline.training.batches import ActivationBatches
from frostline.training.cross_fit import OutOfFold
from frostline.training.scoring import score_together
from frostline.training.setup import Model
from frostline.training.start import body_engine, features_of, some_training_pictures

TRAINING_PICTURES = 2_000
"""Training pictures whose features the classifier keeps, at most."""


def require_one_threshold(config: TrainConfig) -> None:
    """Raise `ConfigError` where options ask for two thresholds for `unsure`."""
    if config.target_accuracy is not None and config.coverage is not None:
        raise ConfigError("target_accuracy and coverage each set the threshold for unsure: give one of them")


def calibrate(
    model: Model,
    batches: ActivationBatches,
    dataset: Dataset,
    indices: NDArray[np.int64],
    config: TrainConfig,
    judged: OutOfFold | None = None,
) -> Scores:
    """Set the classifier's `trust` by these validation pictures, read from their files; returns their scores.

    Where the classifier was trained on them, it is set by what was `judged` out of fold instead.
    """
    classifier = model.classifier
    training = _training_features(model, batches)
    classifier.trust = Trust(training=training)
    if judged is None:
        scores = score_together(classifier, dataset, indices, "predict val", batches.ranks)
    else:
        scores = _scores_of(judged, dataset)
    assert scores.distances is not None
    scaling = Scaling.fit(scores.logits, scores.targets)
    classifier.trust = Trust(scaling, training=training.with_threshold(scores.distances))
    threshold = choose_threshold(classifier.predictions_of(scores), config)
    classifier.trust = replace(classifier.trust, unsure_below=threshold)
    return scores


def choose_threshold(predictions: Predictions, config: TrainConfig) -> float | None:
    """The confidence below which the classifier is to be unsure, by its validation predictions; None if not wanted."""
    if config.target_accuracy is not None:
        threshold = threshold_for_accuracy(predictions, config.target_accuracy)
        wanted = f"{config.target_accuracy:.4g} accuracy"
    elif config.coverage is not None:
        threshold = threshold_for_coverage(predictions, config.coverage)
        wanted = f"{config.coverage:.4g} coverage"
    else:
        return None
    found = measure_answered(predictions, threshold)
    if threshold == ANSWER_NOTHING:
        say(f"note: no threshold has {wanted} on the validation pictures: the classifier answers unsure to everything")
    else:
        say(
            f"unsure below confidence {threshold:.4f}, for {wanted}: {found.coverage:.1%} of the validation pictures "
            f"are answered, {found.accuracy:.2%} of them right"
        )
    return threshold


def _scores_of(judged: OutOfFold, dataset: Dataset) -> Scores:
    paths = tuple(dataset.samples[int(index)].path for index in judged.indices)
    return Scores(paths, dataset.targets[judged.indices], judged.logits, judged.distances)


def _training_features(model: Model, batches: ActivationBatches) -> TrainingFeatures:
    """The features of training pictures as they are, after training."""
    train = some_training_pictures(batches, TRAINING_PICTURES)
    with phase("training features", len(batches.ranks.share(train))) as advance:
        features = features_of(body_engine(model, batches), batches, train, advance)
    return TrainingFeatures.fit(features)
