"""A saved classifier measured on labelled pictures from any source."""

from pathlib import Path

import numpy as np

from frostline.config import TestTimeAugmentation
from frostline.data.dataset import SplitName
from frostline.data.sources import load_dataset
from frostline.data.tables import Columns
from frostline.errors import DataError
from frostline.model.classifier import ImageClassifier
from frostline.results.metrics import Metrics, compute_metrics
from frostline.results.predictions import save_predictions


def evaluate_source(
    classifier: Path,
    source: str,
    *,
    data_dir: Path | None = None,
    columns: Columns | None = None,
    split: SplitName | None = None,
    tta: TestTimeAugmentation = "none",
    csv_file: Path | None = None,
) -> Metrics:
    """Measure a classifier on one split of a source: the one named, else the test split, else all pictures.

    Classes are matched by name. `columns` are the user's names for the columns of a table, `tta` is as in
    `ImageClassifier.with_tta`. Raises `ModelError` where
    there is no classifier, `DataError` where a picture cannot be read, a class is unknown to the classifier, or the
    source has no such split.
    """
    loaded = ImageClassifier.load(classifier).with_tta(tta)
    dataset = load_dataset(source, data_dir=data_dir, columns=columns)
    brought = {sample.split for sample in dataset.samples}
    chosen = split or ("test" if "test" in brought else None)
    if chosen is not None and chosen not in brought:
        raise DataError(f"{source} brings no {chosen} split of its own; leave out --split to measure all its pictures")
    indices = [i for i, sample in enumerate(dataset.samples) if chosen in (None, sample.split)]
    predictions = loaded.predict_dataset(dataset, np.array(indices, dtype=np.int64))
    if csv_file is not None:
        save_predictions(predictions, csv_file)
    return compute_metrics(predictions, chosen or "all")
