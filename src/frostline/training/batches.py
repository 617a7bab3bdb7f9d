"""What the training loop eats: batches of activations with their targets, epoch by epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from frostline.model.transfer import to_device
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
        batches = [order[start:stop] for start, stop in pairwise(batch_bounds(len(order), self.batch_size))]
        mixes = epoch > 0 and self.activations.augmenter.augmentation.mixes
        yield from self._mixed(batches, view, epoch) if mixes else self._plain(batches, view)

    def val(self) -> Iterator[Batch]:
        """See `Batches.val`."""
        starts = range(0, len(self.val_indices), _VAL_BATCH)
        return self._plain([self.val_indices[start : start + _VAL_BATCH] for start in starts], 0)

    def wanted(self, epochs: int, *, first: int = 0, probe: bool = False) -> dict[int, NDArray[np.int64]]:
        """The rank's pictures by view that are read more than once, sorted: those that are worth keeping.

        `epochs` is how many there will be, `first` the first of them that sees these batches, `probe` whether a linear
        probe sees the plain pictures before them.
        """
        train, val = np.sort(self.ranks.share(self.train_indices)), np.sort(self.ranks.share(self.val_indices))
        both = np.union1d(train, val)
        if self.views is None or self.activations.augmenter.augmentation.mixes:
            return {0: both if probe else val}
        seen = sorted({epoch % self.views for epoch in range(first, epochs)})
        plain = both if probe or 0 in seen else val
        return {0: plain, **dict.fromkeys((view for view in seen if view), train)}

    def on_device(self) -> "ActivationBatches":
        """The same batches, with the pictures that every epoch reads on the device, if there is room for them there."""
        activations = self.activations
        all_kept = activations.kept and self.views is not None and not activations.augmenter.augmentation.mixes
        if all_kept or activations.resident is not None:
            return self
        read = np.union1d(self.train_indices, self.val_indices[:0] if activations.kept else self.val_indices)
        return replace(self, activations=activations.bring(self.ranks.share(read)))

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The training pictures of one epoch: each once, or as many, drawn from each class equally often."""
        if not self.balanced:
            return rng.permutation(self.train_indices)
        members = [self.train_indices[self.targets[self.train_indices] == c] for c in range(self.classes)]
        present = [of_class for of_class in members if len(of_class)]
        shares = np.diff(np.linspace(0, len(self.train_indices), len(present) + 1).round().astype(int))
        drawn = [_repeat(of_class, share, rng) for of_class, share in zip(present, shares, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def _plain(self, batches: Sequence[NDArray[np.int64]], view: int) -> Iterator[Batch]:
        """The part of batches of these pictures that this process has."""
        own = map(self.ranks.share, batches)
        for indices, loaded in zip(batches, self.activations.load_each(own, view), strict=True):
            targets = self._targets(loaded.indices)
            whole = targets if self.ranks.count == 1 else self._targets(indices)
            yield Batch(self.activations.of(loaded), targets, whole)
        self.activations.look()

    def _mixed(self, batches: Sequence[NDArray[np.int64]], view: int, epoch: int) -> Iterator[Batch]:
        """The part of batches whose pictures are mixed with each other, before the trunk."""
        augmenter = self.activations.augmenter
        mixings = [augmenter.draw_mixing(len(indices), epoch, step) for step, indices in enumerate(batches)]
        rows = [np.flatnonzero(self.ranks.owns(indices)) for indices in batches]
        read = [np.union1d(own, mixing.partners[own]) for own, mixing in zip(rows, mixings, strict=True)]
        needed = (indices[some] for indices, some in zip(batches, read, strict=True))
        loaded = self.activations.load_each(needed, view, as_pictures=True)
        for indices, mixing, own, some, pictures in zip(batches, mixings, rows, read, loaded, strict=True):
            one_hot = functional.one_hot(self._targets(pictures.indices), self.classes).float()
            places = np.searchsorted(some, own), np.searchsorted(some, mixing.partners[own])
            mixed, soft_targets = mixing(self.activations.views_of(pictures), one_hot, *places)
            targets = self._targets(indices[own])
            yield Batch(self.activations.through_trunk(mixed), targets, self._targets(indices), soft_targets)
        self.activations.look()

    def _targets(self, indices: NDArray[np.int64]) -> Tensor:
        return to_device(torch.from_numpy(self.targets[indices]), self.activations.device)


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
