"""A probe of few pictures learns from the validation pictures too; probes of parts of them keep the figures honest.

Each picture is judged by a probe that was fitted without it, as in stacking (Wolpert 1992) and cross-fitting
(Chernozhukov et al. 2018, arXiv:1608.00060). So no picture is lost to the head, and none is judged by what it taught.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.draws import group_codes
from frostline.data.splits import Splits
from frostline.model.trust import TrainingFeatures
from frostline.progress import phase
from frostline.training.defaults import FEW_PICTURES, epochs_of
from frostline.training.probe import Probe
from frostline.training.setup import choose_augmentation

FOLDS = 5
"""Parts of the pictures, each judged by a probe of the others."""

_ALWAYS = -1
"""The fold of pictures that no probe is without."""

Features = NDArray[np.float32]
Fit = Callable[[Features, NDArray[np.int64]], Probe]
"""Fits a probe to features, which it may change, and targets."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What probes say of pictures that they have not seen."""

    indices: NDArray[np.int64]
    """The pictures, by their index in the dataset, sorted."""
    logits: NDArray[np.float32]
    """Shape (pictures, classes)."""
    mirrored_logits: NDArray[np.float32] | None
    """The same of the mirrored pictures, where the probes learn from those too."""
    distances: NDArray[np.float32]
    """See `TrainingFeatures.distances`, from the pictures that the probe was fitted on, shape (pictures,)."""


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The pictures that a probe learns from, and the parts in which they are judged."""

    indices: NDArray[np.int64]
    """The pictures, by their index in the dataset, sorted."""
    folds: NDArray[np.int64]
    """The part of each, from 0, or `_ALWAYS`; shape (pictures,)."""
    mirrors: bool
    """Whether probes learn from the mirrored pictures too."""

    def splits(self, splits: Splits) -> Splits:
        """The same splits, whose training pictures are all that the probe learns from."""
        return replace(splits, train=self.indices)

    def judge(self, fit: Fit, views: Sequence[Features], targets: NDArray[np.int64]) -> OutOfFold:
        """What a probe of the other parts' pictures says of each picture of a part.

        `views` are features of all pictures, (pictures, features), as they are and then, if they are, mirrored;
        `targets` is the class of each.
        """
        plain = views[0]
        logits = np.empty((len(views), len(plain), int(targets.max()) + 1), dtype=np.float32)
        distances = np.empty(len(plain), dtype=np.float32)
        parts = np.unique(self.folds[self.folds != _ALWAYS])
        with phase("judging out of fold", int((self.folds != _ALWAYS).sum())) as advance:
            for part in parts:
                rest, judged = self.folds != part, self.folds == part
                probe = fit(*stacked(views, targets, rest))
                for of_view, view in zip(logits, views, strict=True):
                    of_view[judged] = probe.logits(view[judged])
                distances[judged] = TrainingFeatures.fit(plain[rest]).distances(plain[judged])
                advance(int(judged.sum()))
        judged = self.folds != _ALWAYS
        mirrored = logits[1][judged] if self.mirrors else None
        return OutOfFold(self.indices[judged], logits[0][judged], mirrored, distances[judged])


def stacked(
    views: Sequence[Features], targets: NDArray[np.int64], rows: NDArray[np.bool_] | slice = slice(None)
) -> tuple[Features, NDArray[np.int64]]:
    """Some rows of every view below each other, in memory of their own, and the class of each."""
    return np.concatenate([view[rows] for view in views]), np.tile(targets[rows], len(views))


def choose_cross_fit(dataset: Dataset, splits: Splits, config: TrainConfig) -> CrossFit | None:
    """How the probe learns from training and validation pictures alike; None where it is to leave the latter out.

    It leaves them out where layers train, since an epoch is chosen then; where there are many pictures; where the
    source says which ones are for validation, or when each was taken, since those were set apart for a reason; where
    the trunk's features are not those of the classifier; and where the groups are too few. It learns from mirrored
    pictures too where the options say that those show the same.
    """
    indices = np.union1d(splits.train, splits.val)
    if not config.starts_with_probe or epochs_of(config, len(splits.train)) or len(indices) > FEW_PICTURES:
        return None
    set_apart = any(dataset.samples[index].split == "val" for index in splits.val)
    timed = any(dataset.samples[index].time is not None for index in indices)
    if set_apart or timed or config.trunk_precision == "int8":
        return None
    folds = draw_folds(dataset.targets[indices], group_codes(dataset)[indices], config.seed)
    are_judged = (folds[np.isin(indices, splits.val)] != _ALWAYS).all()
    mirrors = choose_augmentation(config).horizontal_flip or config.tta == "flip"
    return CrossFit(indices, folds, mirrors) if are_judged else None


def draw_folds(targets: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each picture, (pictures,): stratified by class, and no group is divided.

    Groups that hold all pictures of a class, or share a fold with the others that do, are `_ALWAYS`: without them a
    probe would not know the class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    most = int(np.bincount(targets).max())
    folds = np.full(len(targets), _ALWAYS, dtype=np.int64)
    if most < 2:
        return folds
    splitter = StratifiedGroupKFold(min(FOLDS, most), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes may be smaller than the number of folds
        for fold, (_, judged) in enumerate(splitter.split(targets, targets, groups)):
            folds[judged] = fold
    undivided = [target for target in np.unique(targets) if len(np.unique(folds[targets == target])) == 1]
    folds[np.isin(groups, groups[np.isin(targets, undivided)])] = _ALWAYS
    return folds
