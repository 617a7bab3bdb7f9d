"""Activations: the trunk's output for pictures under a view, computed, or read where they are kept."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.data.pixels import Pixels, digest_of
from frostline.errors import FrostlineError
from frostline.model.engines import Engine
from frostline.model.transfer import pinned, to_device
from frostline.progress import Advance, say
from frostline.training.augment import Augmenter
from frostline.training.cache import ActivationCache, Entry
from frostline.training.residence import (
    CachedRows,
    Indices,
    ResidentPictures,
    RowSource,
    bring_pictures,
    bring_rows,
    find_rows,
    free_memory,
    read_ahead,
)

_FILL_BATCH = 256
"""Pictures that go through the trunk at once while the cache is filled."""


@dataclass(frozen=True)
class KeptView:
    """The activations of one view that the cache holds."""

    indices: Indices
    """The pictures that it has, by their index in the dataset, sorted: one a row."""
    rows: RowSource

    def load(self, indices: Indices) -> Tensor | None:
        """Activations of pictures, (N, ...), as they were kept, or None where not all of them are here."""
        rows = find_rows(self.indices, indices)
        return None if rows is None else self.rows.load(rows)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is read of some pictures under one view, before the device computes."""

    indices: Indices
    view: int
    kept: Tensor | None
    """Their activations, (N, ...), where they are kept."""
    pictures: tuple[Tensor, Tensor] | None
    """Else pictures and sides, as in `Pixels.read`."""


class FiniteCheck:
    """Whether activations fit into their number format: at once on a CPU, and on a device whenever it is asked."""

    def __init__(self) -> None:
        self._all_finite: Tensor | None = None

    def add(self, activations: Tensor) -> None:
        """Check some activations. Raises `FrostlineError` on a CPU."""
        finite = activations.isfinite().all()
        self._all_finite = finite if self._all_finite is None else self._all_finite & finite
        if finite.device.type == "cpu":
            self.look(activations.dtype)

    def look(self, precision: torch.dtype) -> None:
        """Wait for the device, and raise `FrostlineError` where some of those since the last look did not fit."""
        found, self._all_finite = self._all_finite, None
        if found is not None and not found:
            raise FrostlineError(
                f"the trunk's output does not fit into {_name_of(precision)}: "
                "give --activation-precision float32, or check the weights"
            )


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
    resident: ResidentPictures | None = None
    """Pictures that are on the device."""
    check: FiniteCheck = field(default_factory=FiniteCheck)

    def read(self, indices: Indices, view: int) -> Tensor:
        """Activations of pictures under one view, float32 (N, ...)."""
        return self.of(self.load(indices, view))

    def views(self, indices: Indices, view: int) -> Tensor:
        """The network's input: normalised pictures under one view, float32 (N, 3, size, size)."""
        return self.views_of(self.load(indices, view, as_pictures=True))

    def load(self, indices: Indices, view: int, *, as_pictures: bool = False) -> Loaded:
        """Read pictures under one view: their activations where they are kept, unless it is to be `as_pictures`.

        This is the part in which the device has nothing to compute. A thread may do it ahead.
        """
        kept = self.kept[view].load(indices) if view in self.kept and len(indices) and not as_pictures else None
        return Loaded(indices, view, kept, self._pictures(indices) if kept is None else None)

    def load_each(self, batches: Iterable[Indices], view: int, *, as_pictures: bool = False) -> Iterator[Loaded]:
        """See `load`; on a device, a thread reads the next batches while it computes."""

        def load(indices: Indices) -> Loaded:
            return self.load(indices, view, as_pictures=as_pictures)

        return map(load, batches) if self.device.type == "cpu" else read_ahead(load, batches)

    def of(self, loaded: Loaded) -> Tensor:
        """The activations of what `load` read, float32 (N, ...)."""
        if not len(loaded.indices):
            return self.read(np.zeros(1, np.int64), loaded.view)[:0]
        if loaded.kept is not None:
            return to_device(loaded.kept, self.device).float()
        return self.through_trunk(self.views_of(loaded))

    def views_of(self, loaded: Loaded) -> Tensor:
        """The network's input of what `load` read as pictures, float32 (N, 3, size, size)."""
        assert loaded.pictures is not None
        pictures, sides = loaded.pictures
        return self.augmenter(to_device(pictures, self.device), sides, loaded.indices, loaded.view)

    def through_trunk(self, views: Tensor) -> Tensor:
        """From the network's input to activations, float32 (N, ...), rounded to `precision`.

        Raises `FrostlineError` where they do not fit into that; on a device, the next `look` does.
        """
        activations = self.engine(views).to(self.precision)
        self.check.add(activations)
        return activations.float()

    def look(self) -> None:
        """Wait for the device. Raises `FrostlineError` where activations did not fit into `precision`."""
        self.check.look(self.precision)

    def keep(self, wanted: Mapping[int, Indices], cache: ActivationCache) -> "Activations":
        """The same activations, with those of the `wanted` pictures by view kept in the cache; fills it.

        `wanted` gives indices into the dataset, sorted. Where there is no room for all of them, that is said, and they
        are computed as before. On a device they are brought there, if there is room for all. Raises `OSError` where the
        disk is full.
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
        room = free_memory(self.device) >= sum(entry.bytes for entry in entries.values())
        kept = {}
        for view, entry in entries.items():
            indices = wanted[view]

            def compute(rows: range, advance: Advance, view: int = view, indices: Any = indices) -> NDArray[Any]:
                return self._compute(indices[rows.start : rows.stop], view, advance)

            name = f"trunk, view {view + 1}/{max(entries) + 1}" if len(entries) > 1 else "trunk"
            rows = cache.fill(entry, name, compute)
            kept[view] = KeptView(indices, bring_rows(rows, self.device) if room else CachedRows(rows, self.device))
        return replace(self, kept=kept)

    def bring(self, indices: Indices) -> "Activations":
        """The same activations, with these pictures, sorted, on the device, if there is room for all of them there."""
        largest = 3 * self.augmenter.preprocessing.size**2
        if not len(indices) or free_memory(self.device) < len(indices) * largest:
            return self
        return replace(self, resident=bring_pictures(self.pixels, indices, self.device))

    def _pictures(self, indices: Indices) -> tuple[Tensor, Tensor]:
        found = None if self.resident is None else self.resident.load(indices)
        if found is None:
            pictures, sides = self.pixels.read(indices)
            found = pinned(torch.from_numpy(pictures), self.device), torch.from_numpy(sides)
        return found

    def _compute(self, indices: Indices, view: int, advance: Advance) -> NDArray[Any]:
        batches = [indices[start : start + _FILL_BATCH] for start in range(0, len(indices), _FILL_BATCH)]
        parts = []
        for loaded in self.load_each(batches, view, as_pictures=True):
            parts.append(self.through_trunk(self.views_of(loaded)).to(self.precision))
            advance(len(loaded.indices))
        self.look()
        return torch.cat(parts).cpu().numpy()

    def _entry(self, view: int, indices: Indices, shape: tuple[int, ...], pixels_digest: str) -> Entry:
        content = {
            "pixels": pixels_digest,
            "view": self.augmenter.describe(view, indices),
            "trunk": self.trunk_digest,
            "engine": [self.engine.name, self.engine.version],
        }
        name = f"{self.name} at {self.augmenter.preprocessing.size} px, view {view}"
        return Entry(content, len(indices), shape, _name_of(self.precision), name)


def _name_of(precision: torch.dtype) -> str:
    """Numpy's name of a number format."""
    return str(precision).removeprefix("torch.")
