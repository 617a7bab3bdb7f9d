"""Activations: the trunk's output for pictures under a view, computed, or read where they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.data.pixels import Pixels, digest_of
from frostline.errors import FrostlineError
from frostline.model.engines import Engine
from frostline.progress import Advance, say
from frostline.training.augment import Augmenter
from frostline.training.cache import ActivationCache, Entry, Rows

_FILL_BATCH = 256
"""Pictures that go through the trunk at once while the cache is filled."""


@dataclass(frozen=True)
class KeptView:
    """The activations of one view that the cache holds."""

    indices: NDArray[np.int64]
    """The pictures that it has, by their index in the dataset, sorted: one a row."""
    rows: Rows

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any] | None:
        """Activations of pictures, (N, ...), or None where not all of them are here."""
        rows = np.searchsorted(self.indices, indices)
        if not np.array_equal(self.indices[np.minimum(rows, len(self.indices) - 1)], indices):
            return None
        return self.rows.read(rows)


@dataclass(frozen=True)
class Activations:
    """The activations of a dataset's pictures. Whether they are kept or computed makes no difference to their values.

    View 0 is the pictures as they are.
    """

    pixels: Pixels
    augmenter: Augmenter
    engine: Engine
    trunk_digest: str
    """Tells the trunk's weights and operations from others."""
    precision: torch.dtype
    """Number format that activations are rounded to."""
    device: torch.device
    name: str
    """Dataset and backbone, for the user."""
    kept: Mapping[int, KeptView] = field(default_factory=dict)
    """Views that the cache holds."""

    def read(self, indices: NDArray[np.int64], view: int) -> Tensor:
        """Activations of pictures under one view, float32 (N, ...)."""
        if not len(indices):
            return self.read(np.zeros(1, np.int64), view)[:0]
        kept = self.kept[view].read(indices) if view in self.kept else None
        if kept is not None:
            return torch.from_numpy(kept).to(self.device).float()
        return self.through_trunk(self.views(indices, view))

    def views(self, indices: NDArray[np.int64], view: int) -> Tensor:
        """The network's input: normalised pictures under one view, float32 (N, 3, size, size)."""
        pictures, sides = self.pixels.read(indices)
        return self.augmenter(torch.from_numpy(pictures).to(self.device), torch.from_numpy(sides), indices, view)

    def through_trunk(self, views: Tensor) -> Tensor:
        """From the network's input to activations, float32 (N, ...), rounded to `precision`."""
        activations = self.engine(views).to(self.precision)
        if not activations.isfinite().all():
            raise FrostlineError(
                f"the trunk's output does not fit into {self._dtype}: "
                "give --activation-precision float32, or check the weights"
            )
        return activations.float()

    def keep(self, wanted: Mapping[int, NDArray[np.int64]], cache: ActivationCache) -> "Activations":
        """The same activations, with those of the `wanted` pictures by view kept in the cache; fills it.

        `wanted` gives indices into the dataset, sorted. Where there is no room for all of them, that is said, and they
        are computed as before. Raises `OSError` where the disk is full.
        """
        wanted = {view: indices for view, indices in wanted.items() if len(indices)}
        if not wanted:
            return self
        shape = tuple(self.read(next(iter(wanted.values()))[:1], 0).shape[1:])
        distinct = {id(indices): indices for indices in wanted.values()}  # most views are of the same pictures
        digests = {key: digest_of(self.pixels, indices) for key, indices in distinct.items()}
        entries = {view: self._entry(view, indices, shape, digests[id(indices)]) for view, indices in wanted.items()}
        obstacle = cache.obstacle(entries.values())
        if obstacle is not None:
            say(f"note: activations are computed again in each epoch, instead of kept: {obstacle}")
            return self
        cache.make_room(entries.values())
        kept = {}
        for view, entry in entries.items():
            indices = wanted[view]

            def compute(rows: range, advance: Advance, view: int = view, indices: Any = indices) -> NDArray[Any]:
                return self._compute(indices[rows.start : rows.stop], view, advance)

            name = f"trunk, view {view + 1}/{max(entries) + 1}" if len(entries) > 1 else "trunk"
            kept[view] = KeptView(indices, cache.fill(entry, name, compute))
        return replace(self, kept=kept)

    def _compute(self, indices: NDArray[np.int64], view: int, advance: Advance) -> NDArray[Any]:
        parts = []
        for start in range(0, len(indices), _FILL_BATCH):
            batch = indices[start : start + _FILL_BATCH]
            parts.append(self.through_trunk(self.views(batch, view)).to(self.precision).cpu().numpy())
            advance(len(batch))
        return np.concatenate(parts)

    @property
    def _dtype(self) -> str:
        """Numpy's name of the number format that activations are rounded to."""
        return str(self.precision).removeprefix("torch.")

    def _entry(self, view: int, indices: NDArray[np.int64], shape: tuple[int, ...], pixels_digest: str) -> Entry:
        content = {
            "pixels": pixels_digest,
            "view": self.augmenter.describe(view, indices),
            "trunk": self.trunk_digest,
            "engine": [self.engine.name, self.engine.version],
        }
        return Entry(content, len(indices), shape, self._dtype, f"{self.name}, view {view}")
