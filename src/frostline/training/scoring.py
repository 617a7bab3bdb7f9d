"""What a classifier gives for many pictures, by all processes of a training together."""

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset
from frostline.model.network_classifier import NetworkClassifier, Scores
from frostline.training.distributed import Ranks


def score_together(
    classifier: NetworkClassifier, dataset: Dataset, indices: NDArray[np.int64], name: str, ranks: Ranks
) -> Scores:
    """`NetworkClassifier.score_dataset`, of which each rank does its share, and gets all."""
    part = classifier.score_dataset(dataset, ranks.share(indices), name)
    return Scores(
        paths=tuple(dataset.samples[int(index)].path for index in indices),
        targets=ranks.join_rows(indices, part.targets),
        logits=ranks.join_rows(indices, part.logits),
        distances=None if part.distances is None else ranks.join_rows(indices, part.distances),
    )
