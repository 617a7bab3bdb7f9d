"""What a linear probe says of each picture that it has not seen: cross-validated probabilities from features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.progress import phase
from frostline.training.probe import fit_probe

FOLDS = 5
"""Parts of the pictures; each is judged by a probe of the others. A class needs as many pictures to be judged."""


DECAY = 0.1
"""Weight decay of the probes: more than a classifier's, so as not to learn wrong labels (docs/log.md)."""


def out_of_fold_probabilities(
    features: NDArray[np.float32], targets: NDArray[np.int64], together: Sequence[Sequence[int]] = (), seed: int = 0
) -> NDArray[np.float32]:
    """Probabilities of the classes 0 to the largest, (pictures, classes), of pictures by their features.

    Every class must have `FOLDS` pictures. `together` are groups of rows that no fold divides, such as duplicates.
    """
    from scipy.special import softmax

    folds = _draw_folds(targets, together, seed)
    probabilities = np.empty((len(targets), int(targets.max()) + 1), dtype=np.float32)
    with phase("labels", len(targets)) as advance:
        for fold in range(FOLDS):
            rest, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            probe = fit_probe(features[rest], targets[rest], decay=DECAY)
            probabilities[judged] = softmax(probe.logits(features[judged]), axis=1)
            advance(len(judged))
    return probabilities


def _draw_folds(targets: NDArray[np.int64], together: Sequence[Sequence[int]], seed: int) -> NDArray[np.int64]:
    """The fold of each row, stratified by class; rows that belong together go where their first one does."""
    rng = np.random.default_rng(seed)
    folds = np.empty(len(targets), dtype=np.int64)
    for target in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == target))
        folds[members] = (np.arange(len(members)) + rng.integers(FOLDS)) % FOLDS
    for group in together:
        folds[list(group)] = folds[group[0]]
    return folds
