"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the official python or binary layout, packed or unpacked."""

import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.data.arrays import ArrayName, array_dataset
from frostline.data.dataset import Dataset
from frostline.data.named.cifar_formats import SIDE, Batch, binary_batch, binary_names, python_batch, python_names
from frostline.data.named.download import download
from frostline.data.named.locations import dataset_folders, datasets_cache
from frostline.errors import DataError

MAX_FILE = 1 << 28
"""Bytes; the largest official file, CIFAR-100's training batch in python layout, has 155 million."""

LICENCE = "not stated by its authors"


@dataclass(frozen=True)
class Layout:
    """One of the two official ways to lay a CIFAR dataset out in files.

    `read_batch` and `read_names` take a file's bytes; they raise `ValueError` where these are not what they should be.
    """

    archive: str
    folder: str
    names_file: str
    train_files: tuple[str, ...]
    test_file: str
    read_batch: Callable[[bytes], Batch]
    read_names: Callable[[bytes], list[str]]


@dataclass(frozen=True)
class Cifar:
    """One of the CIFAR datasets; a batch file holds `batch_records` pictures, a test file `test_records`."""

    name: str
    classes: int
    batch_records: int
    test_records: int
    python: Layout
    binary: Layout
    url: str
    md5: str


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

CIFAR10 = Cifar(
    name="cifar10",
    classes=10,
    batch_records=10_000,
    test_records=10_000,
    python=Layout(
        archive="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        names_file="batches.meta",
        train_files=_BATCHES,
        test_file="test_batch",
        read_batch=partial(python_batch, labels_key="labels"),
        read_names=partial(python_names, names_key="label_names"),
    ),
    binary=Layout(
        archive="cifar-10-binary.tar.gz",
        folder="cifar-10-batches-bin",
        names_file="batches.meta.txt",
        train_files=tuple(f"{name}.bin" for name in _BATCHES),
        test_file="test_batch.bin",
        read_batch=partial(binary_batch, label_bytes=1),
        read_names=binary_names,
    ),
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
)

CIFAR100 = Cifar(
    name="cifar100",
    classes=100,
    batch_records=50_000,
    test_records=10_000,
    python=Layout(
        archive="cifar-100-python.tar.gz",
        folder="cifar-100-python",
        names_file="meta",
        train_files=("train",),
        test_file="test",
        read_batch=partial(python_batch, labels_key="fine_labels"),
        read_names=partial(python_names, names_key="fine_label_names"),
    ),
    binary=Layout(
        archive="cifar-100-binary.tar.gz",
        folder="cifar-100-binary",
        names_file="fine_label_names.txt",
        train_files=("train.bin",),
        test_file="test.bin",
        read_batch=partial(binary_batch, label_bytes=2),
        read_names=binary_names,
    ),
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
)


def load_cifar(cifar: Cifar, data_dir: Path | None) -> Dataset:
    """Load from `data_dir` (else `FROSTLINE_DATA`), else the cache, else download the python archive into the cache.

    Of a local file no checksum is asked, but sizes, labels and record counts must be right. Raises `DataError`.
    """
    found = find_cifar(cifar, dataset_folders(data_dir))
    if found is None:
        path = datasets_cache() / cifar.python.archive
        download(cifar.url, path, cifar.md5)
        found = path, cifar.python
    return read_cifar(cifar, *found)


def find_cifar(cifar: Cifar, folders: tuple[Path, ...]) -> tuple[Path, Layout] | None:
    """The first of the dataset's archives or unpacked folders in `folders`; unpacked ones first, they are quicker."""
    for folder in folders:
        for layout in (cifar.python, cifar.binary):
            if (folder / layout.names_file).is_file() and (folder / layout.test_file).is_file():
                return folder, layout
            if (folder / layout.folder).is_dir():
                return folder / layout.folder, layout
        for layout in (cifar.python, cifar.binary):
            if (folder / layout.archive).is_file():
                return folder / layout.archive, layout
    return None


def read_cifar(cifar: Cifar, path: Path, layout: Layout) -> Dataset:
    """Read an archive, without unpacking it, or an unpacked folder. Raises `DataError` where it is not whole."""
    train = _Split(len(layout.train_files) * cifar.batch_records)
    test = _Split(cifar.test_records)
    starts = {name: (train, index * cifar.batch_records) for index, name in enumerate(layout.train_files)}
    starts[layout.test_file] = (test, 0)
    class_names: list[str] | None = None
    missing = {*starts, layout.names_file}
    for name, content in _files(path, frozenset(missing)):
        missing.discard(name)
        try:
            if name == layout.names_file:
                class_names = _checked_names(layout.read_names(content), cifar.classes)
            else:
                split, start = starts[name]
                records = cifar.test_records if split is test else cifar.batch_records
                split.fill(start, *_checked_batch(layout.read_batch(content), records, cifar.classes))
        except ValueError as error:
            raise DataError(f"{path}: {name} {error}; get {cifar.name} again and replace it") from error
    if missing or class_names is None:
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}; get {cifar.name} again and replace it")
    splits: dict[ArrayName, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {
        "train": (train.pictures, train.targets),
        "test": (test.pictures, test.targets),
    }
    return array_dataset(cifar.name, str(path), splits, class_names, LICENCE)


class _Split:
    """The pictures (records, 32, 32, 3) and targets (records,) of one split, filled batch by batch."""

    def __init__(self, records: int) -> None:
        self.pictures = np.empty((records, SIDE, SIDE, 3), dtype=np.uint8)
        self.targets = np.empty(records, dtype=np.int64)

    def fill(self, start: int, pictures: NDArray[np.uint8], targets: NDArray[np.int64]) -> None:
        self.pictures[start : start + len(pictures)] = pictures.transpose(0, 2, 3, 1)
        self.targets[start : start + len(targets)] = targets


def _checked_batch(batch: Batch, records: int, classes: int) -> Batch:
    pictures, targets = batch
    if len(pictures) != records:
        raise ValueError(f"holds {len(pictures):,} pictures instead of {records:,}")
    if len(targets) != records:
        raise ValueError(f"holds {len(targets):,} labels for {records:,} pictures")
    outside = np.flatnonzero((targets < 0) | (targets >= classes))
    if len(outside):
        raise ValueError(f"has label {targets[outside[0]]} at record {outside[0]:,}, outside 0 to {classes - 1}")
    return batch


def _checked_names(names: list[str], classes: int) -> list[str]:
    if len(names) != classes or len(set(names)) != classes:
        raise ValueError(f"names {len(set(names))} different classes instead of {classes}")
    return names


def _files(path: Path, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files that are in a folder or an archive."""
    try:
        if path.is_dir():
            for file in (path / name for name in sorted(wanted)):
                if file.is_file():
                    _limit(path, file.name, file.stat().st_size)
                    yield file.name, file.read_bytes()
        else:
            yield from _archived_files(path, wanted)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; is it whole? Get it again and replace it") from error


def _archived_files(path: Path, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            content = archive.extractfile(member) if member.isfile() and name in wanted else None
            if content is not None:
                _limit(path, name, member.size)
                yield name, content.read()
        # gzip compares its checksum only when it is read to its end, which is after the last member.
        while archive.fileobj is not None and archive.fileobj.read(1 << 20):
            pass


def _limit(path: Path, name: str, size: int) -> None:
    if size > MAX_FILE:
        raise DataError(f"{path}: {name} has {size:,} bytes, more than any official file; get it again and replace it")
