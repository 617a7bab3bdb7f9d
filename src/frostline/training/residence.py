"""What a training reads in every epoch, on the device while it fits, else fetched from the processor's memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.data.pixels import Pixels
from frostline.model.transfer import pinned, to_device
from frostline.training.cache import Rows

FREE_SHARE = 0.5
"""Part of a device's free memory that may be filled; the rest is for what the network computes."""

_READ_AT_ONCE = 256
"""Pictures, or rows, that are brought to the device in one copy while it is filled."""

_AHEAD = 2
"""Batches that are read while the device computes."""

Indices = NDArray[np.int64]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class RowSource(Protocol):
    """Gives rows of an array."""

    def load(self, rows: Indices) -> Tensor:
        """These rows, (N, ...): on the device, or where it can fetch them by itself."""
        ...


@dataclass(frozen=True)
class CachedRows:
    """Rows of the cache, read from its files."""

    rows: Rows
    device: torch.device

    def load(self, rows: Indices) -> Tensor:
        """See `RowSource`."""
        return pinned(torch.from_numpy(self.rows.read(rows)), self.device)


@dataclass(frozen=True)
class ResidentRows:
    """Rows that are on the device."""

    tensor: Tensor

    def load(self, rows: Indices) -> Tensor:
        """See `RowSource`."""
        return self.tensor.index_select(0, to_device(torch.from_numpy(rows), self.tensor.device))


@dataclass(frozen=True)
class ResidentPictures:
    """Some of a dataset's fitted pictures, on the device."""

    indices: Indices
    """Those that it has, by their index in the dataset, sorted: one a row."""
    rows: ResidentRows
    """Each picture in the top left corner of a square of the largest side, uint8 (pictures, S, S, 3)."""
    sides: NDArray[np.int64]
    """Of each picture, shape (pictures,)."""

    def load(self, indices: Indices) -> tuple[Tensor, Tensor] | None:
        """Pictures and sides as in `Pixels.read`, or None where not all of them are here."""
        rows = find_rows(self.indices, indices)
        return None if rows is None else (self.rows.load(rows), torch.from_numpy(self.sides[rows]))


def find_rows(kept: Indices, indices: Indices) -> Indices | None:
    """The row of each picture among those that are `kept`, which are sorted; None where not all of them are."""
    rows = np.searchsorted(kept, indices)
    return rows if np.array_equal(kept[np.minimum(rows, len(kept) - 1)], indices) else None


def free_memory(device: torch.device) -> int:
    """Bytes of a device's own memory that may be filled now: `FREE_SHARE` of what is free; of a CPU, none."""
    free = 0
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + held
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return int(FREE_SHARE * free)


def bring_rows(rows: Rows, device: torch.device) -> ResidentRows:
    """All rows of an entry of the cache, on a device."""
    entry = rows.entry
    tensor = torch.empty(entry.count, *entry.shape, dtype=getattr(torch, entry.dtype), device=device)
    for some in _parts(entry.count):
        tensor[some.start : some.stop] = to_device(torch.from_numpy(rows.read(np.array(some))), device)
    return ResidentRows(tensor)


def bring_pictures(pixels: Pixels, indices: Indices, device: torch.device) -> ResidentPictures:
    """Pictures of a dataset, by their indices, sorted, on a device; for a while they take twice their place there."""
    parts = []
    sides = np.empty(len(indices), np.int64)
    for some in _parts(len(indices)):
        pictures, sides[some.start : some.stop] = pixels.read(indices[some.start : some.stop])
        parts.append(to_device(torch.from_numpy(pictures), device))
    largest = int(sides.max())
    tensor = torch.zeros(len(indices), largest, largest, 3, dtype=torch.uint8, device=device)
    for some, part in zip(_parts(len(indices)), parts, strict=True):
        tensor[some.start : some.stop, : part.shape[1], : part.shape[2]] = part
    return ResidentPictures(indices, ResidentRows(tensor), sides)


def _parts(count: int) -> Iterator[range]:
    return (range(start, min(start + _READ_AT_ONCE, count)) for start in range(0, count, _READ_AT_ONCE))


def read_ahead(read: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What `read` gives for each item, in their order, while a thread reads the next ones.

    Errors of `read` are raised where its result would have come.
    """
    begun: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for item in items:
            begun.append(pool.submit(read, item))
            if len(begun) > _AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
