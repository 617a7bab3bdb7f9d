"""Class-balanced parts of a dataset's splits."""

import numpy as np
from numpy.typing import NDArray

from frostline.data.dataset import Dataset
from frostline.data.splits import Splits


def take(dataset: Dataset, splits: Splits, pictures: int | None) -> Splits:
    """The same share of each class in each split, such that about `pictures` train and validate; None takes all.

    A smaller part lies within a larger one.
    """
    if pictures is None:
        return splits
    share = pictures / (len(splits.train) + len(splits.val))
    if share > 1:
        raise SystemExit(f"{dataset.name} has no {pictures:,} training and validation pictures")
    parts = (_share_of(indices, dataset.targets, share) for indices in (splits.train, splits.val, splits.test))
    return Splits(*parts)


def _share_of(indices: NDArray[np.int64], targets: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """A share of each class, at least one picture."""
    shuffled = np.random.default_rng(0).permutation(indices)
    classes = (shuffled[targets[shuffled] == target] for target in np.unique(targets[indices]))
    return np.sort(np.concatenate([members[: max(1, round(share * len(members)))] for members in classes]))
