"""What the training loop eats: batches of activations at the cut, made from pictures epoch by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from frostline.data.pixels import Pixels
from frostline.training.augment import Augmenter
from frostline.training.trunk import TrunkEngine


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
class ComputedBatches:
    """Batches computed as they are asked for: pixels, view, trunk."""

    pixels: Pixels
    targets: NDArray[np.int64]
    train_indices: NDArray[np.int64]
    val_indices: NDArray[np.int64]
    classes: int
    augmenter: Augmenter
    engine: TrunkEngine
    batch_size: int
    seed: int
    device: torch.device

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
        """See `Batches.train`."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.train_indices)
        bounds = batch_bounds(len(order), self.batch_size)
        for step, (start, stop) in enumerate(pairwise(bounds)):
            indices = order[start:stop]
            targets = self._targets(indices)
            views = self.augmenter(*self._pixels(indices), indices, epoch)
            soft_targets = None
            if epoch > 0 and self.augmenter.augmentation.mixes:
                one_hot = functional.one_hot(targets, self.classes).float()
                views, soft_targets = self.augmenter.mix(views, one_hot, epoch, step)
            yield Batch(self.engine(views), targets, soft_targets)

    def val(self) -> Iterator[Batch]:
        """See `Batches.val`."""
        for start in range(0, len(self.val_indices), self.batch_size):
            indices = self.val_indices[start : start + self.batch_size]
            views = self.augmenter.preprocessing(*self._pixels(indices))
            yield Batch(self.engine(views), self._targets(indices))

    def _pixels(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        pictures, sides = self.pixels.read(indices)
        return torch.from_numpy(pictures).to(self.device), torch.from_numpy(sides)

    def _targets(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.targets[indices]).to(self.device)


def batch_bounds(count: int, batch_size: int) -> list[int]:
    """Where batches begin and the last one ends.

    A last batch of one picture, which batch norm refuses, joins the one before.
    """
    bounds = [*range(0, count, batch_size), count]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds
