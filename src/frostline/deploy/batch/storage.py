"""Files behind addresses such as s3://bucket/photos, which fsspec reads."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from frostline.data.listing import is_hidden
from frostline.errors import ConfigError, DataError, FrostlineError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_MAGIC = re.compile(r"[*?[]")


def is_address(name: str) -> bool:
    """Whether a name is an address for fsspec, and not a path on disk."""
    return _ADDRESS.match(name) is not None


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises `ConfigError` where a package is missing, and `DataError` where it is no address.
    """
    if "::" in address:
        raise DataError(f"{address} is a chain of addresses: give one, such as s3://bucket/photos")
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ConfigError("addresses need the package fsspec: pip install 'frostline[ray]'") from None
    try:
        files, path = url_to_fs(address)
    except ImportError as error:
        raise ConfigError(f"cannot open {address}: a package is missing: {describe(error)}") from error
    except (ValueError, OSError) as error:
        raise DataError(f"cannot open {address}: {describe(error)}") from error
    return files, str(path)


def find_files(address: str) -> list[str]:
    """Addresses of the files below a folder, of those that fit a pattern, or of one file; hidden ones are left out.

    What is not found is given all the same. Raises `DataError` where the store refuses.
    """
    files, path = file_system(address)
    root = path
    try:
        found = files.find(path)
        if not found:
            root = _MAGIC.split(path)[0].rpartition("/")[0]
            found = files.glob(path) or [path]
    except Exception as error:  # those of object stores have no base of their own
        raise DataError(f"cannot list {address}: {describe(error)}") from error
    return [str(files.unstrip_protocol(name)) for name in found if not is_hidden(name.removeprefix(root))]


def read_files(addresses: Sequence[str]) -> list[bytes | Exception]:
    """The bytes behind each address, or why there are none; object stores are asked for all of them at once."""
    found: dict[str, bytes | Exception] = {}
    together: dict[Any, list[tuple[str, str]]] = {}
    for address in addresses:
        try:
            files, path = file_system(address)
            together.setdefault(files, []).append((address, path))
        except FrostlineError as error:
            found[address] = error
    for files, places in together.items():
        contents = files.cat_ranges([path for _, path in places], None, None, on_error="return")
        found |= zip((address for address, _ in places), contents, strict=True)
    return [found[address] for address in addresses]


@contextmanager
def open_file(name: str) -> Iterator[BinaryIO]:
    """A file behind a path or an address, open to be read within the block."""
    if is_address(name):
        files, path = file_system(name)
        with files.open(path, "rb") as file:
            yield cast("BinaryIO", file)
    else:
        with Path(name).open("rb") as file:
            yield file


def describe(error: Exception) -> str:
    """Why a file could not be read, in one line, and in the system's words where it is a usual reason."""
    if isinstance(error, OSError):
        usual = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}
        number = error.errno or usual.get(type(error))
        if number:
            return os.strerror(number)
    return " ".join(str(error).split()) or type(error).__name__
