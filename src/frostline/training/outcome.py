"""What a run says about itself when training is over: predictions, figures and pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset, Picture, SplitName
from frostline.data.splits import Splits
from frostline.model.classifier import ImageClassifier
from frostline.results.confusion import plot_confusion_matrix
from frostline.results.gallery import plot_misclassified
from frostline.results.history import EpochRecord
from frostline.results.metrics import Metrics, compute_metrics
from frostline.results.plots import plot_curves
from frostline.results.predictions import Predictions, save_predictions
from frostline.training.run_folder import RunFolder


def evaluate_splits(
    classifier: ImageClassifier, dataset: Dataset, splits: Splits, folder: RunFolder
) -> dict[SplitName, Predictions]:
    """Predict the validation and test pictures from their files, as a user would, and save the predictions."""
    folder.predictions.mkdir(exist_ok=True)
    held_out: dict[SplitName, NDArray[np.int64]] = {"val": splits.val, "test": splits.test}
    found: dict[SplitName, Predictions] = {}
    for name, indices in held_out.items():
        if len(indices):
            found[name] = classifier.predict_dataset(dataset, indices, f"predict {name}")
            save_predictions(found[name], folder.predictions / f"{name}.csv")
    return found


def measure_splits(predictions: Mapping[SplitName, Predictions]) -> dict[SplitName, Metrics]:
    """The figures of every split that was predicted."""
    return {name: compute_metrics(found, name) for name, found in predictions.items()}


def draw_pictures(
    folder: RunFolder, dataset: Dataset, history: Sequence[EpochRecord], predictions: Predictions, metrics: Metrics
) -> None:
    """Draw the curves, the confusion matrix and the most confident mistakes."""
    index_of = {sample.path: index for index, sample in enumerate(dataset.samples)}

    def read(path: str) -> Picture:
        return dataset.picture(index_of[path], min_side=320)

    plot_curves(history, folder.picture("curves"))
    plot_confusion_matrix(metrics, folder.picture("confusion_matrix"))
    plot_misclassified(predictions, read, folder.picture("misclassified"))
