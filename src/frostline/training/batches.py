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

_VAL_BATCH = 256
"""Validation pictures in one batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Activations (N, ...) with their targets: class indices int64 (N,), and what the loss wants of them."""

    activations: Tensor
    targets: Tensor
    soft_targets: Tensor | None = None
    """Probabilities (N, classes) where pictures were mixed, else None."""


class Batches(Protocol):
    """Gives the batches of each epoch, always the same ones for the same epoch."""

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
        """The shuffled, augmented training batches of one epoch, counted from 0."""
        ...

    def val(self) -> Iterator[Batch]:
        """The validation pictures as they are, in order."""
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
            if mixes:
                yield self._mixed(indices, view, epoch, step)
            else:
                yield Batch(self.activations.read(indices, view), self._targets(indices))

    def val(self) -> Iterator[Batch]:
        """See `Batches.val`."""
        for start in range(0, len(self.val_indices), _VAL_BATCH):
            indices = self.val_indices[start : start + _VAL_BATCH]
            yield Batch(self.activations.read(indices, 0), self._targets(indices))

    def wanted(self, epochs: int, *, probe: bool = False) -> dict[int, NDArray[np.int64]]:
        """The pictures by view that are read more than once, sorted: those that are worth keeping.

        `epochs` is how many there will be, `probe` whether a linear probe sees the plain pictures before them.
        """
        train = np.sort(self.train_indices)
        both = np.union1d(train, self.val_indices)
        if self.views is None or self.activations.augmenter.augmentation.mixes:
            return {0: both if probe else np.sort(self.val_indices)}
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

    def _mixed(self, indices: NDArray[np.int64], view: int, epoch: int, step: int) -> Batch:
        """A batch whose pictures are mixed with each other, before the trunk."""
        targets = self._targets(indices)
        views = self.activations.views(indices, view)
        one_hot = functional.one_hot(targets, self.classes).float()
        mixed, soft_targets = self.activations.augmenter.mix(views, one_hot, epoch, step)
        return Batch(self.activations.through_trunk(mixed), targets, soft_targets)

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
