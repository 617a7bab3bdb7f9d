"""A folder of pictures on disk."""

import os
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
        status = _stat(root / relative)
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        for name, is_folder in _scan(root / relative):
            path = f"{relative}/{name}" if relative else name
            if is_hidden(name):
                continue
            if is_folder:
                folders.append(path)
                waiting.append((path, above | {here}))
            else:
                files.append(path)
    return Listing(tuple(files), tuple(folders))


def _stat(folder: Path) -> os.stat_result:
    try:
        return folder.stat()
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}: {error.strerror}") from None


def _scan(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder; pipes, sockets and devices are left out.

    A link that leads nowhere counts as a file, so that it is named as unreadable.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(), entry.is_file() or entry.is_symlink()) for entry in entries]
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}: {error.strerror}") from None
    return [(name, is_folder) for name, is_folder, is_file in found if is_folder or is_file]
