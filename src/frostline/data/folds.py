"""Cross-validation: every picture is tested on once, by a training that has not seen it."""

import numpy as np

from frostline.data.dataset import Dataset
from frostline.data.draws import Indices, choose_draw
from frostline.data.splits import Splits, require_trainable
from frostline.errors import DataError


def make_folds(dataset: Dataset, folds: int, *, val_fraction: float = 0.1, seed: int = 0) -> list[Splits]:
    """Divide the pictures into `folds` parts, stratified and by whole groups; each is the test split once.

    The validation split is drawn from the other parts. Pictures that the source keeps for its test stay out, so that
    they can still test what is chosen here.

    Raises `DataError` where a class or the groups do not reach for so many parts, and for pictures with times, which
    would be judged by what came after them.
    """
    pool = np.array([i for i, sample in enumerate(dataset.samples) if sample.split != "test"], dtype=np.int64)
    if any(dataset.samples[index].time is not None for index in pool):
        raise DataError(f"{dataset.source} has times, which folds would mix: leave out --folds, or the column of times")
    counts = np.bincount(dataset.targets[pool], minlength=len(dataset.class_names))
    if counts.min() < folds:
        name = dataset.class_names[int(counts.argmin())]
        raise DataError(
            f"{dataset.source}: {folds} folds need as many pictures of each class, and {name} has {counts.min():,}: "
            "give fewer folds or more pictures"
        )
    rng = np.random.default_rng(seed)
    draw = choose_draw(dataset, pool)
    parts = []
    left = pool
    for remaining in range(folds, 1, -1):
        parts.append(draw(left, 1 / remaining, remaining - 1, rng))
        left = np.setdiff1d(left, parts[-1])
    parts.append(left)
    return [_splits_of(dataset, pool, part, val_fraction, seed) for part in parts]


def _splits_of(dataset: Dataset, pool: Indices, test: Indices, val_fraction: float, seed: int) -> Splits:
    rest = np.setdiff1d(pool, test)
    val = choose_draw(dataset, rest)(rest, val_fraction, 1, np.random.default_rng(seed))
    splits = Splits(np.setdiff1d(rest, val), val, test)
    require_trainable(splits, dataset, f"{dataset.source}: a fold")
    if not len(test):
        raise DataError(f"{dataset.source}: the groups are too large for so many folds: give fewer")
    return splits
