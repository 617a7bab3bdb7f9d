"""What the training loop eats: batches of activations with their targets, epoch by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from frostline.training.activations import Activations
from frostline.training.distributed import ALONE, Ranks

_VAL_BATCH = 256
"""Validation pictures in one batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Activations (N, ...) with their targets: class indices int64 (N,), and what the loss wants of them.

    They are this process's part of a batch, which may be none of it.
    """

    activations: Tensor
    targets: Tensor
    all_targets: Tensor
    """Those of the whole batch, of all processes."""
    soft_targets: Tensor | None = None
    """Probabilities (N, classes) where pictures were mixed, else None."""


class Batches(Protocol):
    """Gives the batches of each epoch, always the same ones for the same epoch."""

    @property
    def ranks(self) -> Ranks:
        """The processes that share each batch."""
        ...

    @property
    def train_pictures(self) -> int:
        """Training pictures in an epoch."""
        ...

    @property
    def val_pictures(self) -> int:
        """Validation pictures."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Training batches in an epoch."""
        ...

    def train(self, epoch: int) -> Iterator[Batch]:
        """The shuffled, augmented training batches of one epoch, counted from 0: the rank's part of each."""
        ...

    def val(self) -> Iterator[Batch]:
        """The validation pictures as they are: the rank's part of each batch."""
        ...


@dataclass(frozen=True)
class ActivationBatches:
    """Batches of the activations of a dataset's pictures."""

    activations: Activations
    targets: NDArray[np.int64]
    """Class index of every picture of the dataset."""
    train_indices: NDArray[np.int64]
    val_indices: NDArray[np.int64]
    classes: int
    batch_size: int
    seed: int
    balanced: bool
    """Whether an epoch draws from each class equally often, instead of each picture once."""
    views: int | None
    """Epoch e sees view e mod `views` of each picture; None: every epoch sees a view of its own."""
    ranks: Ranks = ALONE
    """Each reads its own pictures of a batch only; the batches themselves are the same for any number of them."""

    @property
    def train_pictures(self) -> int:
        """Training pictures in an epoch."""
        return len(self.train_indices)

    @property
    def val_pictures(self) -> int:
        """Validation pictures."""
        return len(self.val_indices)

    @property
    def steps_per_epoch(self) -> int:
        """Training batches in an epoch."""
        return len(batch_bounds(len(self.train_indices), self.batch_size)) - 1

    def train(self, epoch: int) -> Iterator[Batch]:
        """See `Batches.train`; under the epoch's view, and mixed from epoch 1 on."""
        order = self._order(np.random.default_rng([self.seed, epoch]))
        view = epoch if self.views is None else epoch % self.views
        mixes = epoch > 0 and self.activations.augmenter.augmentation.mixes
        for step, (start, stop) in enumerate(pairwise(batch_bounds(len(order), self.batch_size))):
            indices = order[start:stop]
            yield self._mixed(indices, view, epoch, step) if mixes else self._batch(indices, view)

    def val(self) -> Iterator[Batch]:
        """See `Batches.val`."""
        for start in range(0, len(self.val_indices), _VAL_BATCH):
            yield self._batch(self.val_indices[start : start + _VAL_BATCH], 0)

    def wanted(self, epochs: int, *, probe: bool = False) -> dict[int, NDArray[np.int64]]:
        """The rank's pictures by view that are read more than once, sorted: those that are worth keeping.

        `epochs` is how many there will be, `probe` whether a linear probe sees the plain pictures before them.
        """
        train, val = np.sort(self.ranks.share(self.train_indices)), np.sort(self.ranks.share(self.val_indices))
        both = np.union1d(train, val)
        if self.views is None or self.activations.augmenter.augmentation.mixes:
            return {0: both if probe else val}
        return {0: both, **dict.fromkeys(range(1, min(self.views, epochs)), train)}

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The training pictures of one epoch: each once, or as many, drawn from each class equally often."""
        if not self.balanced:
            return rng.permutation(self.train_indices)
        members = [self.train_indices[self.targets[self.train_indices] == c] for c in range(self.classes)]
        present = [of_class for of_class in members if len(of_class)]
        shares = np.diff(np.linspace(0, len(self.train_indices), len(present) + 1).round().astype(int))
        drawn = [_repeat(of_class, share, rng) for of_class, share in zip(present, shares, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def _batch(self, indices: NDArray[np.int64], view: int) -> Batch:
        """The part of a batch of these pictures that this process has."""
        own = self.ranks.share(indices)
        return Batch(self.activations.read(own, view), self._targets(own), self._targets(indices))

    def _mixed(self, indices: NDArray[np.int64], view: int, epoch: int, step: int) -> Batch:
        """The part of a batch whose pictures are mixed with each other, before the trunk."""
        mixing = self.activations.augmenter.draw_mixing(len(indices), epoch, step)
        rows = np.flatnonzero(self.ranks.owns(indices))
        partners = mixing.partners[rows]
        read = np.union1d(rows, partners)
        views = self.activations.views(indices[read], view)
        one_hot = functional.one_hot(self._targets(indices[read]), self.classes).float()
        mixed, soft_targets = mixing(views, one_hot, np.searchsorted(read, rows), np.searchsorted(read, partners))
        targets = self._targets(indices[rows])
        return Batch(self.activations.through_trunk(mixed), targets, self._targets(indices), soft_targets)

    def _targets(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.targets[indices]).to(self.activations.device)


def _repeat(members: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` of the members, none a second time before all were drawn once."""
    rounds = -(-count // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:count]


def batch_bounds(count: int, batch_size: int) -> list[int]:
    """Where batches begin and the last one ends.

    A last batch of one picture, which batch norm refuses, joins the one before.
    """
    bounds = [*range(0, count, batch_size), count]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds
