"""From what a user names on the command line to picture files, in a stated order."""

import glob
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from natsort import natsorted

from frostline.data.folders import list_folder
from frostline.data.listing import may_be_picture
from frostline.errors import DataError


def expand_inputs(names: Iterable[str], listed: Iterable[str]) -> Iterator[Path]:
    """The picture files that `names` stand for, in the order given.

    A name is a file; a folder, which stands for every picture below it in natural order; a glob pattern, likewise;
    or `-`, which stands for the lines of `listed`. A file that is missing is given all the same, so that it can be
    reported in its place. Raises `DataError` at once for a folder or a pattern without pictures, and for an empty name.
    """
    return chain.from_iterable([_expand(name, listed) for name in names])


def _expand(name: str, listed: Iterable[str]) -> Iterable[Path]:
    if not name:
        raise DataError("an empty name was given for a picture: name a file, a folder, a pattern or -")
    if name == "-":
        return _listed(listed)
    if Path(name).is_dir():
        return _below(Path(name))
    if glob.has_magic(name) and not Path(name).exists():
        return _matching(name)
    return [Path(name)]


def _listed(lines: Iterable[str]) -> Iterator[Path]:
    for name in (line.rstrip("\r\n") for line in lines):
        if "\0" in name:
            raise DataError("the list on standard input has a NUL byte in it: write one file name a line")
        if name:
            yield Path(name)


def _matching(pattern: str) -> list[Path]:
    found = natsorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
    if not found:
        raise DataError(f"no file matches {pattern}")
    return [Path(path) for path in found]


def _below(folder: Path) -> list[Path]:
    names = [name for name in list_folder(folder).files if may_be_picture(name)]
    if not names:
        raise DataError(f"{folder} holds no pictures")
    return [folder / name for name in natsorted(names)]
