"""The decode pass: every picture of a dataset fitted to a square once, and kept in memory where there is room."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frostline import progress
from frostline.data.arrays import ArrayStore
from frostline.data.dataset import Dataset, Picture
from frostline.data.decode import ResizeMode, UnreadablePictureError, fit_square, list_unreadable
from frostline.data.machine import available_memory, usable_cores
from frostline.errors import DataError

Indices = Sequence[int] | NDArray[np.int64]
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures, uint8 of shape (N, S, S, 3), each in its top left corner of side s; and every s, int64 of shape (N,)."""

_CHUNK = 256
"""Pictures that may be decoded and not yet kept."""


class Pixels(Protocol):
    """The fitted squares of a dataset's pictures."""

    def read(self, indices: Indices) -> Batch:
        """Pictures by their index in the dataset; S is the largest side among them."""
        ...

    def digests(self, indices: Indices) -> list[bytes]:
        """The digest of each of these squares; see `picture_digest`."""
        ...


def digest_of(pixels: Pixels, indices: Indices) -> str:
    """The SHA-256, in hexadecimal, of the content of these pictures in this order."""
    return hashlib.sha256(b"".join(pixels.digests(indices))).hexdigest()


def picture_digest(picture: Picture) -> bytes:
    """The SHA-256 of a picture's shape and pixels: equal for those that decode to the same, whatever their files."""
    digest = hashlib.sha256(str(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that could not be decoded: its index in the dataset, its path, and why."""

    index: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Decoder:
    """Reads and fits the pictures of one dataset in threads."""

    dataset: Dataset
    size: int
    mode: ResizeMode
    workers: int

    def one(self, index: int) -> Picture:
        return fit_square(self.dataset.picture(index, min_side=self.size), self.size, self.mode)

    def try_one(self, index: int) -> Picture | Unreadable:
        try:
            return self.one(index)
        except UnreadablePictureError as error:
            return Unreadable(index, self.dataset.samples[index].path, error.reason)

    def try_all(self, indices: NDArray[np.int64]) -> Iterator[tuple[int, Picture | Unreadable]]:
        """Decode pictures, some at a time, so that memory does not grow with the dataset."""
        with ThreadPoolExecutor(self.workers) as pool:
            for start in range(0, len(indices), _CHUNK):
                chunk = indices[start : start + _CHUNK].tolist()
                yield from zip(chunk, pool.map(self.try_one, chunk), strict=True)


class _KeptPixels:
    """Squares one behind the other in one buffer; those that are not among them are decoded when they are read."""

    def __init__(self, decoder: _Decoder, decoded: "_Decoded", buffer: NDArray[np.uint8]) -> None:
        self._decoder = decoder
        self._buffer = buffer
        self._sides = decoded.sides
        self._digests = decoded.digests
        self._unreadable = {item.index for item in decoded.unreadable}
        self._offsets = np.concatenate([[0], np.cumsum(3 * self._sides**2)])

    def read(self, indices: Indices) -> Batch:
        """See `Pixels.read`."""
        return _assemble([self._square(int(index)) for index in indices])

    def digests(self, indices: Indices) -> list[bytes]:
        """See `Pixels.digests`."""
        return [self._digests[int(index)] for index in indices]

    def _square(self, index: int) -> Picture:
        if index in self._unreadable:
            raise ValueError(f"picture {index} could not be decoded and has no pixels")
        side = self._sides[index]
        if not side:
            return self._decoder.one(index)
        return self._buffer[self._offsets[index] : self._offsets[index + 1]].reshape(side, side, 3)


class _StreamedPixels:
    """Squares that are decoded again whenever they are read, because they do not fit in the memory."""

    def __init__(self, decoder: _Decoder, digests: Sequence[bytes]) -> None:
        self._decoder = decoder
        self._digests = digests
        self._pool = ThreadPoolExecutor(decoder.workers)

    def read(self, indices: Indices) -> Batch:
        """See `Pixels.read`; raises `DataError` where a file has changed since the decode pass."""
        return _assemble(list(self._pool.map(self._decoder.one, map(int, indices))))

    def digests(self, indices: Indices) -> list[bytes]:
        """See `Pixels.digests`; of the pictures as they were in the decode pass."""
        return [self._digests[int(index)] for index in indices]


class _ArrayPixels:
    """Pictures that lie in arrays already, square and no larger than what is asked for."""

    def __init__(self, dataset: Dataset, store: ArrayStore) -> None:
        self._samples = dataset.samples
        self._store = store

    def read(self, indices: Indices) -> Batch:
        """See `Pixels.read`."""
        pictures = self._store.read_many([self._samples[int(index)] for index in indices])
        return pictures, np.full(len(pictures), pictures.shape[1], dtype=np.int64)

    def digests(self, indices: Indices) -> list[bytes]:
        """See `Pixels.digests`."""
        starts = range(0, len(indices), _CHUNK)
        pictures = (picture for start in starts for picture in self.read(indices[start : start + _CHUNK])[0])
        return [picture_digest(picture) for picture in pictures]


def read_pixels(
    dataset: Dataset,
    *,
    size: int,
    resize_mode: ResizeMode,
    skip_unreadable: bool = False,
    workers: int | None = None,
    memory_limit: int | None = None,
    indices: NDArray[np.int64] | None = None,
) -> tuple[Pixels, tuple[Unreadable, ...]]:
    """Decode every picture once, in `workers` threads (one a core by default), and fit it by `fit_square`.

    The squares are kept in one buffer up to `memory_limit` bytes, by default a quarter of the memory that is
    available. Above that they are decoded again on each read, and memory does not grow with the dataset. With
    `indices`, sorted, that is done for these pictures alone; others have no digest, and are decoded on each read.

    Raises `DataError` that lists every picture that cannot be read; with `skip_unreadable` they are returned instead,
    and reading one of them later is an error.
    """
    store = dataset.pictures
    if isinstance(store, ArrayStore) and store.height == store.width <= size:
        return _ArrayPixels(dataset, store), ()
    decoder = _Decoder(dataset, size, resize_mode, workers or usable_cores())
    limit = available_memory() // 4 if memory_limit is None else memory_limit
    decoded = _decode(decoder, np.arange(len(dataset)) if indices is None else indices, limit)
    unreadable = tuple(decoded.unreadable)
    if not skip_unreadable:
        require_readable(unreadable, dataset)
    if decoded.buffer is None:
        return _StreamedPixels(decoder, decoded.digests), unreadable
    return _KeptPixels(decoder, decoded, decoded.buffer), unreadable


def require_readable(unreadable: Sequence[Unreadable], dataset: Dataset) -> None:
    """Raise `DataError` that lists these pictures, where there are any."""
    if unreadable:
        named = [(item.path, item.reason) for item in unreadable]
        raise DataError(
            list_unreadable(dataset.source, named, "mend or remove them, or leave them out by --skip-unreadable")
        )


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What came out of the decode pass."""

    buffer: NDArray[np.uint8] | None
    """The squares one behind the other; None where they did not fit."""
    sides: NDArray[np.int64]
    """The side of each square; 0 where there is none."""
    digests: list[bytes]
    """The digest of each square; empty where there is none."""
    unreadable: list[Unreadable]


def _decode(decoder: _Decoder, indices: NDArray[np.int64], limit: int) -> _Decoded:
    """Decode pictures, keeping the squares up to `limit` bytes.

    The buffer is reserved for the largest squares, but the machine gives memory only to what is written.
    """
    count = len(decoder.dataset)
    buffer: NDArray[np.uint8] | None = np.empty(min(limit, len(indices) * decoder.size**2 * 3), dtype=np.uint8)
    sides = np.zeros(count, dtype=np.int64)
    digests = [b""] * count
    unreadable: list[Unreadable] = []
    used = 0
    with progress.phase("decode", len(indices)) as advance:
        for index, square in decoder.try_all(indices):
            advance(1)
            if isinstance(square, Unreadable):
                unreadable.append(square)
                continue
            sides[index], digests[index] = len(square), picture_digest(square)
            if buffer is not None and used + square.size <= len(buffer):
                buffer[used : used + square.size] = square.reshape(-1)
                used += square.size
            else:
                buffer = None
    return _Decoded(buffer, sides, digests, unreadable)


def _assemble(squares: Sequence[Picture]) -> Batch:
    """Put squares of any side into one batch."""
    sides = np.array([len(square) for square in squares], dtype=np.int64)
    largest = int(sides.max(initial=0))
    if (sides == largest).all() and len(squares):
        return np.stack(squares), sides
    batch = np.zeros((len(squares), largest, largest, 3), dtype=np.uint8)
    for row, square in zip(batch, squares, strict=True):
        row[: len(square), : len(square)] = square
    return batch, sides
