"""The cache of activations on disk: filled once, checked whenever it is opened, and kept under a limit."""

import hashlib
import json
import mmap
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.filesize import decimal as size_text

from frostline.files import atomic_write, cache_folder
from frostline.progress import Advance, phase, say

FORMAT_VERSION = 1
"""Of the files, and of how views are drawn and trunks are run: raise it when either changes."""

SHARD_BYTES = 16 << 20
"""Rows are written, and checked, in files of at most this size."""

_RELEASE_EVERY = 4096
"""Rows after which the pages that were read are given back, so that memory does not grow with the cache."""

_ABOUT = "entry.json"

Compute = Callable[[range, Advance], NDArray[Any]]
"""Gives some of the rows, (N, ...), and tells how far it is."""


@dataclass(frozen=True)
class Entry:
    """One array of the cache: a row for each picture under one view."""

    content: Mapping[str, Any]
    """All that the rows depend on, ready for JSON."""
    count: int
    shape: tuple[int, ...]
    """Of one row."""
    dtype: str
    """numpy's name of the rows' number format."""
    about: str
    """What the user is told that it is."""

    @cached_property
    def key(self) -> str:
        """Where the entry is kept: equal for equal content alone."""
        described = {**self.content, "format": FORMAT_VERSION, "shape": self.shape, "dtype": self.dtype}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:40]

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def bytes(self) -> int:
        """Size of all rows."""
        return self.count * self.row_bytes

    @property
    def shard_rows(self) -> int:
        """Rows in each file but the last."""
        return max(1, SHARD_BYTES // self.row_bytes)

    @property
    def shards(self) -> list[range]:
        """The rows of each file."""
        return [
            range(start, min(start + self.shard_rows, self.count)) for start in range(0, self.count, self.shard_rows)
        ]


class Rows:
    """The rows of a whole entry, mapped from their files."""

    def __init__(self, entry: Entry, paths: Iterable[Path]) -> None:
        self.entry = entry
        self._maps = [_map(path) for path in paths]
        self._shards = [np.frombuffer(data, entry.dtype).reshape(-1, *entry.shape) for data in self._maps]
        self._unreleased = 0

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy these rows, (N, ...), in the order asked for."""
        found = np.empty((len(rows), *self.entry.shape), self.entry.dtype)
        numbers, offsets = np.divmod(rows, self.entry.shard_rows)
        for row, number, offset in zip(found, numbers.tolist(), offsets.tolist(), strict=True):
            row[...] = self._shards[number][offset]
        self._unreleased += len(rows)
        if self._unreleased >= _RELEASE_EVERY:
            self._release()
        return found

    def _release(self) -> None:
        for data in self._maps:
            _give_back(data)
        self._unreleased = 0


@dataclass(frozen=True)
class CachedEntry:
    """What the cache holds of one entry."""

    key: str
    about: str
    bytes: int
    """On disk."""
    whole: bool
    """Whether it has all its rows."""
    last_used: datetime


class ActivationCache:
    """Entries in one folder, which several runs can use at once.

    An entry is a folder of its own with `entry.json` and files of rows, `<number>-<CRC-32>.rows`, each written beside
    its target and renamed. A file that is missing, or does not agree with its name, is computed anew; so a filling
    that was killed goes on where it was. While one run fills an entry, others wait for it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.root = folder
        self.folder = folder / f"v{FORMAT_VERSION}"
        self.limit = limit
        """Bytes that all entries together may take."""

    @classmethod
    def of_user(cls, limit: int = sys.maxsize) -> "ActivationCache":
        """The cache that every training of this user shares."""
        return cls(cache_folder() / "activations", limit)

    def obstacle(self, entries: Iterable[Entry]) -> str | None:
        """Why these entries cannot all be kept here, with the figures, or None where they can."""
        wanted = {entry.key: entry for entry in entries}
        total = sum(entry.bytes for entry in wanted.values())
        if total > self.limit:
            return f"they take {size_text(total)}, and the cache may take {size_text(self.limit)} (--cache-limit)"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            here = sum(_bytes_in(self.folder / key) for key in wanted)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f"{self.folder} cannot be used: {error.strerror}"
        if not os.access(self.folder, os.W_OK):
            return f"{self.folder} cannot be written"
        if total - here > free:
            return f"they take {size_text(total - here)} more, and {self.folder} has {size_text(free)} left"
        return None

    def make_room(self, entries: Iterable[Entry]) -> None:
        """Remove other entries, those unused for longest first, until these fit under the limit."""
        wanted = {entry.key: entry for entry in entries}
        others = sorted(
            (found for found in self.entries() if found.key not in wanted), key=lambda found: found.last_used
        )
        surplus = sum(entry.bytes for entry in wanted.values()) + sum(found.bytes for found in others) - self.limit
        for found in others:
            if surplus <= 0:
                break
            surplus -= self._remove(found)

    def fill(self, entry: Entry, name: str, compute: Compute) -> Rows:
        """The rows of an entry; those that are not here are computed and kept. `name` is the phase that is shown.

        Raises `OSError` where the disk is full; what was written until then is kept.
        """
        with self._locked(entry.key, f"another run is computing the activations of {entry.about}: waiting for it"):
            folder = self.folder / entry.key
            folder.mkdir(parents=True, exist_ok=True)
            _describe(entry, folder)
            found = _whole_shards(entry, folder)
            missing = {number: rows for number, rows in enumerate(entry.shards) if number not in found}
            if missing:
                with phase(name, sum(map(len, missing.values()))) as advance:
                    for number, rows in missing.items():
                        computed = np.ascontiguousarray(compute(rows, advance), entry.dtype)
                        found[number] = _write_shard(folder, number, computed)
            return Rows(entry, [found[number] for number in sorted(found)])

    def entries(self) -> list[CachedEntry]:
        """All entries, the last used one first."""
        found = [_read_entry(path.parent) for path in self.folder.glob(f"*/{_ABOUT}")]
        return sorted((entry for entry in found if entry), key=lambda entry: entry.last_used, reverse=True)

    def clear(self) -> tuple[int, int]:
        """Remove every entry that no run is filling; returns how many are gone, and their bytes."""
        removed = [self._remove(found) for found in self.entries()]
        return sum(1 for freed in removed if freed), sum(removed)

    def _remove(self, found: CachedEntry) -> int:
        """Remove an entry, if no run is filling it; returns the bytes that it had."""
        lock = FileLock(self._lock_path(found.key))
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(self.folder / found.key, ignore_errors=True)
        except Timeout:
            return 0
        return found.bytes

    @contextmanager
    def _locked(self, key: str, notice: str) -> Iterator[None]:
        lock = FileLock(self._lock_path(key))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(notice)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _lock_path(self, key: str) -> Path:
        """Beside the entries, so that it outlasts them."""
        return self.root / "locks" / key


def _describe(entry: Entry, folder: Path) -> None:
    """Write what the entry is, or note that it is used now; remove what a killed run left half-written."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()
    path = folder / _ABOUT
    if path.exists():
        os.utime(path)
        return
    with atomic_write(path) as file:
        json.dump({"about": entry.about, "bytes": entry.bytes, "content": dict(entry.content)}, file, indent=2)


def _read_entry(folder: Path) -> CachedEntry | None:
    path = folder / _ABOUT
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        here = _bytes_in(folder)
        return CachedEntry(folder.name, str(described["about"]), here, here >= int(described["bytes"]), used)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # being removed, or not ours


def _whole_shards(entry: Entry, folder: Path) -> dict[int, Path]:
    """The files of rows by their number; those that are not what they were written as are removed, and that is said."""
    found = {}
    for path in sorted(folder.glob("*.rows")):
        number = _number_if_whole(path, entry)
        if number is None:
            say(f"{path} is damaged: its activations are computed anew")
            path.unlink()
        else:
            found[number] = path
    return found


def _number_if_whole(path: Path, entry: Entry) -> int | None:
    name = re.fullmatch(r"(\d+)-([0-9a-f]{8})", path.stem)
    if name is None or int(name[1]) >= len(entry.shards):
        return None
    number = int(name[1])
    whole = path.stat().st_size == len(entry.shards[number]) * entry.row_bytes and _checksum(path) == name[2]
    return number if whole else None


def _write_shard(folder: Path, number: int, rows: NDArray[Any]) -> Path:
    path = folder / f"{number:05}-{zlib.crc32(rows.data):08x}.rows"
    with atomic_write(path, "wb") as file:
        file.write(rows.data)
    return path


def _checksum(path: Path) -> str:
    data = _map(path)
    checksum = f"{zlib.crc32(data):08x}"
    _give_back(data)
    return checksum


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _give_back(data: mmap.mmap) -> None:
    """Let go of the pages that were read; they stay in the machine's own cache of files."""
    if hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def _bytes_in(folder: Path) -> int:
    """Size of an entry's files of rows."""
    total = 0
    for path in folder.glob("*.rows"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
