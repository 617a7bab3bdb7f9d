"""A folder of pictures on disk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from frostline.data.dataset import Dataset, Sample
from frostline.data.encoded import EncodedStore, open_picture
from frostline.data.listing import Listing, arrange, is_hidden
from frostline.errors import DataError


class FileStore(EncodedStore):
    """Pictures in files below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def name(self, sample: Sample) -> str:
        """The path of the file."""
        return str(self._root / sample.path)

    def open(self, sample: Sample) -> BinaryIO:
        """Open one file; see `EncodedStore.open`."""
        return open_picture(self._root / sample.path)


def load_folder(root: Path) -> Dataset:
    """The pictures below a folder, labelled by the folders that they lie in; see `listing.arrange`.

    Symbolic links are followed. Raises `DataError` where a folder cannot be read or the layout is not known.
    """
    samples, class_names, notes = arrange(list_folder(root), str(root))
    return Dataset(root.resolve().name, str(root.resolve()), samples, class_names, FileStore(root), notes=notes)


def list_folder(root: Path) -> Listing:
    """Every file and folder below `root`; a symbolic link back to a folder above itself is not followed."""
    files: list[str] = []
    folders: list[str] = []
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        relative, above = waiting.pop()
        here = identity(root / relative)
        if here in above:
            continue
        for name, is_folder in scan(root / relative):
            path = f"{relative}/{name}" if relative else name
            if is_folder:
                folders.append(path)
                waiting.append((path, above | {here}))
            else:
                files.append(path)
    return Listing(tuple(files), tuple(folders))


def identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, by whatever link it is reached. Raises `DataError` where it is not there."""
    try:
        status = folder.stat()
    except OSError as error:
        raise _cannot_open(folder, error) from None
    return status.st_dev, status.st_ino


def scan(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names in a folder that are not hidden, and whether each is a folder; pipes, sockets and devices are left out.

    A link that leads nowhere counts as a file, so that it is named as unreadable. Raises `DataError` where the folder
    cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    yield entry.name, True
                elif entry.is_file() or entry.is_symlink():
                    yield entry.name, False
    except OSError as error:
        raise _cannot_open(folder, error) from None


def _cannot_open(folder: Path, error: OSError) -> DataError:
    return DataError(f"cannot open the folder {folder}: {error.strerror}")
