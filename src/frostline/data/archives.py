"""A zip or tar archive of pictures, read without unpacking it to disk."""

import io
import lzma
import re
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from frostline.data.dataset import Dataset, PictureStore, Sample
from frostline.data.decode import UnreadablePictureError
from frostline.data.encoded import EncodedStore
from frostline.data.listing import Listing, arrange, is_hidden
from frostline.data.machine import available_memory
from frostline.errors import DataError

MAX_FILE_BYTES = 1 << 29
"""A file in an archive that unpacks to more is not read: it would fill the memory."""

Kept = TypeVar("Kept")

DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    struct.error,
    NotImplementedError,
    RuntimeError,
)
"""What the standard library raises on a damaged, encrypted or unknown archive."""


class ZipStore(EncodedStore):
    """Pictures in a zip archive, each unpacked in memory when it is read."""

    def __init__(self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> None:
        self._archive = archive
        self._members = members
        self._lock = threading.Lock()

    def open(self, sample: Sample) -> BinaryIO:
        """Unpack one member; see `EncodedStore.open`."""
        member = self._members[sample.path]
        if member.flag_bits & 0x1:
            raise UnreadablePictureError(sample.path, "it is encrypted: unpack the archive first")
        if member.file_size > MAX_FILE_BYTES:
            raise UnreadablePictureError(sample.path, f"it unpacks to {member.file_size:,} bytes")
        try:
            return io.BytesIO(self._unpack(member))
        except DAMAGED as error:
            raise UnreadablePictureError(sample.path, f"its entry in the archive is damaged ({error})") from None

    def _unpack(self, member: zipfile.ZipInfo) -> bytes:
        """Unpack in many threads at once: only opening and closing count the archive's open members."""
        with self._lock:
            file = self._archive.open(member)
        try:
            return file.read()
        finally:
            with self._lock:
                file.close()


class TarPlace(NamedTuple):
    """Where the bytes of a file lie in a tar archive."""

    archive: Path
    offset: int
    size: int


class TarStore(EncodedStore):
    """Pictures in tar archives that are not compressed, read from where they lie in them."""

    def __init__(self, places: Mapping[str, TarPlace]) -> None:
        self._places = places

    def open(self, sample: Sample) -> BinaryIO:
        """Read one member; see `EncodedStore.open`."""
        archive, offset, size = self._places[sample.path]
        if size > MAX_FILE_BYTES:
            raise UnreadablePictureError(sample.path, f"it has {size:,} bytes")
        try:
            with archive.open("rb") as file:
                file.seek(offset)
                return io.BytesIO(file.read(size))
        except OSError as error:
            raise UnreadablePictureError(sample.path, error.strerror or type(error).__name__) from None


class MemoryStore(EncodedStore):
    """Encoded pictures in memory: what a compressed tar archive holds, which can only be read from its beginning."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def open(self, sample: Sample) -> BinaryIO:
        """The bytes of one file; see `EncodedStore.open`."""
        return io.BytesIO(self._files[sample.path])


def load_archive(path: Path, *, memory_limit: int | None = None) -> Dataset:
    """The pictures in a zip or tar archive, labelled by the folders that they lie in; see `listing.arrange`.

    Nothing is written to disk. The files in a compressed tar archive (gz, bz2, xz) are kept in memory as they are,
    up to `memory_limit` bytes in all; by default a quarter of what is available.

    Raises `DataError` where the archive is damaged, holds unsafe file names, or does not fit in the memory.
    """
    limit = available_memory() // 4 if memory_limit is None else memory_limit
    try:
        listing, store = _open_zip(path) if zipfile.is_zipfile(path) else _open_tar(path, limit)
    except DAMAGED as error:
        raise DataError(f"cannot read the archive {path}: {' '.join(str(error).split())}") from None
    samples, class_names, notes = arrange(listing, str(path))
    return Dataset(_stem(path), str(path.resolve()), samples, class_names, store, notes=notes)


def _stem(path: Path) -> str:
    return re.sub(r"(\.tar)?\.[^.]+$", "", path.name) or path.name


def _open_zip(path: Path) -> tuple[Listing, PictureStore]:
    archive = zipfile.ZipFile(path)
    files: dict[str, zipfile.ZipInfo] = {}
    folders: list[str] = []
    links: list[str] = []
    for member in archive.infolist():
        name = _safe_name(member.filename, path)
        if member.is_dir():
            folders.append(name)
        elif stat.S_ISLNK(member.external_attr >> 16):
            links.append(name)
        elif not is_hidden(name):
            files[name] = member
    return Listing(tuple(files), tuple(folders), _describe_links(links)), ZipStore(archive, files)


def _open_tar(path: Path, limit: int) -> tuple[Listing, PictureStore]:
    try:
        archive = tarfile.open(path, "r:")  # noqa: SIM115 - closed below; a compressed one is opened in another way
    except tarfile.ReadError:
        return _read_compressed(path, limit)
    with archive:
        listing, places = scan_tar(archive, path, lambda member: TarPlace(path, member.offset_data, member.size))
    return listing, TarStore(places)


def _read_compressed(path: Path, limit: int) -> tuple[Listing, PictureStore]:
    """Read a compressed archive once from beginning to end, keeping what could be a picture."""
    try:
        archive = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below
    except (tarfile.ReadError, EOFError):
        raise DataError(f"{path} is neither a folder nor a whole zip or tar archive: give one of these") from None
    total = 0

    def keep(member: tarfile.TarInfo) -> bytes:
        nonlocal total
        total += member.size
        if total > limit:
            raise DataError(f"{path} unpacks to more than {limit:,} bytes of memory: unpack it and give the folder")
        file = archive.extractfile(member)
        assert file is not None
        return file.read()

    with archive:
        listing, files = scan_tar(archive, path, keep)
    return listing, MemoryStore(files)


def scan_tar(
    archive: tarfile.TarFile, path: Path, keep: Callable[[tarfile.TarInfo], Kept]
) -> tuple[Listing, dict[str, Kept]]:
    """List an archive, with what `keep` makes of each regular file; a hard link is its file once more."""
    files: dict[str, Kept] = {}
    folders: list[str] = []
    others: list[str] = []
    for member in archive:
        name = _safe_name(member.name, path)
        if member.isdir():
            folders.append(name)
        elif is_hidden(name):
            continue
        elif member.islnk() and (target := _safe_name(member.linkname, path)) in files:
            files[name] = files[target]
        elif member.isreg() and not member.issparse():
            files[name] = keep(member)
        else:
            others.append(name)
    return Listing(tuple(files), tuple(folders), _describe_links(others)), files


def _describe_links(names: list[str]) -> tuple[str, ...]:
    return (f"left out links and special files in the archive: {', '.join(names)}",) if names else ()


def _safe_name(name: str, path: Path) -> str:
    """A member's name as a relative POSIX path; some Windows programs write backslashes."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{path} holds the unsafe file name {name!a}: an archive's names must stay inside it")
    return "/".join(parts)
