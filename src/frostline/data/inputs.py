"""From what a user names on the command line to picture files, in a stated order and as they are needed."""

import glob
import re
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from pathlib import Path

from natsort import natsort_keygen

from frostline.data.folders import identity, scan
from frostline.data.listing import may_be_picture
from frostline.errors import DataError

_RUN = 10_000
"""Names that are sorted at once: the sort keys of more would take many times the room of the names."""

_natural = natsort_keygen()


def expand_inputs(names: Iterable[str], listed: Iterable[str]) -> Iterator[Path]:
    """The picture files that `names` stand for, in the order given.

    A name is a file; a folder, which stands for every picture below it in natural order; a glob pattern, likewise;
    or `-`, which stands for the lines of `listed`. A file that is missing is given all the same, so that it can be
    reported in its place. Folders are opened one after the other as their pictures are asked for.

    Raises `DataError` at once for a folder or a pattern without pictures, and for an empty name; for a folder further
    down that cannot be opened, when it is reached.
    """
    return chain.from_iterable([_expand(name, listed) for name in names])


def listed_names(lines: Iterable[str]) -> Iterator[str]:
    """The names in a list, one a line. Raises `DataError` for one that no file can have."""
    for name in (line.rstrip("\r\n") for line in lines):
        if "\0" in name:
            raise DataError("the list on standard input has a NUL byte in it: write one file name a line")
        if name:
            yield name


def in_natural_order(names: Iterable[str]) -> Iterator[str]:
    """Sort file names; those that only write the same numbers in other ways, such as 1 and 01, by their characters.

    They are sorted in runs, each of which is kept as one string, and the runs are merged as names are asked for: a
    million names take little more room than their characters.
    """
    remaining = iter(names)
    runs = []
    while run := sorted(islice(remaining, _RUN), key=_order):
        runs.append("\0".join(run))
    return merge(*(_split(run) for run in runs), key=_order)


def _expand(name: str, listed: Iterable[str]) -> Iterable[Path]:
    if not name:
        raise DataError("an empty name was given for a picture: name a file, a folder, a pattern or -")
    if name == "-":
        return map(Path, listed_names(listed))
    if Path(name).is_dir():
        return _not_empty(_below(Path(name)), f"{name} holds no pictures")
    if glob.has_magic(name) and not Path(name).exists():
        return _not_empty(_matching(name), f"no file matches {name}")
    return [Path(name)]


def _not_empty(paths: Iterator[Path], otherwise: str) -> Iterator[Path]:
    """The same paths, of which the first is looked for at once. Raises `DataError` where there is none."""
    for first in paths:
        return chain([first], paths)
    raise DataError(otherwise)


def _matching(pattern: str) -> Iterator[Path]:
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207
    return map(Path, in_natural_order(name for name in found if Path(name).is_file()))


def _below(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Every picture below a folder; a symbolic link back to a folder `above` it is not followed."""
    here = identity(folder)
    if here in above:
        return
    for name in in_natural_order(_names(folder)):
        if name.endswith("/"):
            yield from _below(folder / name, above | {here})
        else:
            yield folder / name


def _names(folder: Path) -> Iterator[str]:
    """Names of the pictures in a folder, and of its folders with a slash after them; see `scan`."""
    for name, is_folder in scan(folder):
        if is_folder:
            yield f"{name}/"
        elif may_be_picture(name):
            yield name


def _split(run: str) -> Iterator[str]:
    return (match[0] for match in re.finditer("[^\0]+", run))


def _order(name: str) -> tuple[object, str]:
    return _natural(name), name
