"""From the paths in a folder or an archive to labelled samples: which folder is a split, which one a class."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from natsort import natsorted

from frostline.data.dataset import SPLIT_NAMES, Sample, SplitName
from frostline.errors import DataError

SPLIT_FOLDERS: Mapping[str, SplitName] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Folder names (in small letters) that mean a split."""

_OTHER_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "md", "rst", "html", "htm", "log"),
        *("pdf", "doc", "docx", "xls", "xlsx", "py", "ipynb", "sh", "db", "url", "lnk", "tmp", "bak", "part"),
        *("mat", "npy", "npz", "pkl", "pt", "pth", "h5", "parquet", "arrow", "cls", "zip", "tar", "gz", "7z", "rar"),
        *("mp4", "avi", "mov", "mkv", "wav", "mp3"),
    )
)
"""Files that are not meant as pictures; anything else is taken as one and must decode."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and what Python puts for bytes that are not UTF-8."""

_MAX_PLACES = 5
"""Folders that one note names."""

_HIDDEN = re.compile(r"(?:^|/)(?:\.|(?:__MACOSX|@eaDir)(?:/|$))")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder or an archive holds: POSIX paths relative to its root."""

    files: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """Folders, so that an empty one can be named; those that hold files need not be listed."""
    notes: tuple[str, ...] = ()


class Arrangement(NamedTuple):
    """Labelled samples, sorted by path, with their class names and what the user should know about them."""

    samples: tuple[Sample, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


class _Entry(NamedTuple):
    path: str
    parts: tuple[str, ...]
    suffix: str


def is_hidden(path: str) -> bool:
    """Whether a POSIX path belongs to the system rather than to the user: `.DS_Store`, `__MACOSX/` and the like."""
    return _HIDDEN.search(path) is not None


def may_be_picture(path: str) -> bool:
    """Whether a file counts as a picture by its name; it does unless its suffix says otherwise."""
    return posixpath.splitext(path)[1].lower() not in _OTHER_SUFFIXES


def arrange(listing: Listing, source: str) -> Arrangement:
    """Find the classes, and the splits if there are any, in a listing.

    Known layouts are `class/...` and `{train,val|valid|validation,test}/class/...`, either of them inside any number
    of single wrapping folders. A file belongs to the topmost folder below its split. Class names are sorted
    naturally and come from the training split where there is one. `source` is named in errors.

    Raises `DataError` where no class folder is found, a class has no pictures, or the training split lacks a class.
    """
    entries = [_entry(path) for path in listing.files if not is_hidden(path)]
    folders = {tuple(path.split("/")) for path in listing.folders if not is_hidden(path)}
    for entry in entries:
        check_name(entry.path, source)
    pictures = [entry for entry in entries if may_be_picture(entry.path)]
    folders.update(entry.parts[:-1] for entry in entries)
    if not pictures:
        raise DataError(f"{source} holds no pictures: expected a folder of pictures for each class")
    wrapper = _find_wrapper(pictures)
    bases = _find_splits(pictures, wrapper, source) or {wrapper: None}
    samples, counts = _label(pictures, bases)
    class_names = _class_names(counts, folders, bases, source)
    index = {name: target for target, name in enumerate(class_names)}
    labelled = tuple(Sample(path, index[name], split) for path, name, split in sorted(samples))
    notes = [
        *listing.notes,
        *_describe_left_out(pictures, {sample.path for sample in labelled}),
        *_describe_nested(pictures, bases),
        *_describe_others(entries),
        *describe_missing(counts, class_names),
    ]
    return Arrangement(labelled, class_names, tuple(notes))


_Folder = tuple[str, ...]
_Bases = Mapping[_Folder, SplitName | None]
Counts = Mapping[SplitName | None, Counter[str]]


def _entry(path: str) -> _Entry:
    return _Entry(path, tuple(path.split("/")), posixpath.splitext(path)[1].lower())


def check_name(path: str, source: str) -> None:
    """Raise `DataError` for a file name with control characters, such as newlines, or that is not UTF-8."""
    if _UNPRINTABLE.search(path):
        raise DataError(f"{source}: the file name {path!a} is not plain UTF-8 text on one line: rename the file")


def _children(folders: Iterable[_Folder], base: _Folder) -> list[str]:
    """Names of the folders right below `base`, sorted."""
    depth = len(base)
    return sorted({folder[depth] for folder in folders if len(folder) > depth and folder[:depth] == base})


def _find_wrapper(pictures: list[_Entry]) -> _Folder:
    """The folder that holds the classes or splits: the root, or what single folders wrap around them."""
    folders = {entry.parts[:-1] for entry in pictures}
    shallowest = min(map(len, folders))
    wrapper: _Folder = ()
    while len(wrapper) < shallowest - 1:
        children = _children(folders, wrapper)
        if len(children) != 1 or children[0].lower() in SPLIT_FOLDERS:
            break
        wrapper = (*wrapper, children[0])
    return wrapper


def _find_splits(pictures: list[_Entry], wrapper: _Folder, source: str) -> _Bases:
    """The split folders below `wrapper`; none where the folders there are classes.

    A class may be called `train` too: a split folder is one whose pictures lie in folders of their own. But where
    every folder is called like a split, none of them is a class.
    """
    children = _children({entry.parts[:-1] for entry in pictures}, wrapper)
    depth = len(wrapper)
    named = {name: SPLIT_FOLDERS[name.lower()] for name in children if name.lower() in SPLIT_FOLDERS}
    nested = {entry.parts[depth] for entry in pictures if len(entry.parts) > depth + 2}
    found = {name: split for name, split in named.items() if name in nested}
    if len(named) == len(children):
        found = found or named
    elif "train" not in found.values():
        return {}
    for split in SPLIT_NAMES:
        names = [name for name in found if found[name] == split]
        if len(names) > 1:
            raise DataError(f"{source} has two {split} splits, {' and '.join(names)}: keep one of them")
    return {(*wrapper, name): split for name, split in found.items()}


def _label(pictures: list[_Entry], bases: _Bases) -> tuple[list[tuple[str, str, SplitName | None]], Counts]:
    """Path, class name and split of every picture in a class folder, and how many each class has in each split."""
    depth = len(next(iter(bases)))
    samples = []
    counts: dict[SplitName | None, Counter[str]] = {split: Counter() for split in bases.values()}
    for entry in pictures:
        base = entry.parts[:depth]
        if base in bases and len(entry.parts) > depth + 1:
            name, split = entry.parts[depth], bases[base]
            samples.append((entry.path, name, split))
            counts[split][name] += 1
    return samples, counts


def _class_names(counts: Counts, folders: set[_Folder], bases: _Bases, source: str) -> tuple[str, ...]:
    """The names of the class folders; see `pin_classes`."""
    if not any(counts.values()):
        raise DataError(
            f"{source} has pictures but no class folders: put the pictures of each class in a folder of its own"
        )
    pinned = {split: names for split, names in counts.items() if split == "train"} or counts
    for base, split in bases.items():
        empty = [name for name in _children(folders, base) if split in pinned and name not in counts[split]]
        if empty:
            where = "/".join((*base, empty[0]))
            raise DataError(f"{source}: the class folder {where} holds no pictures: add some or remove the folder")
    return pin_classes(counts, source)


def pin_classes(counts: Counts, source: str) -> tuple[str, ...]:
    """Class names in natural order, from the training split where there is one, given the pictures of each split.

    Raises `DataError` where another split has a class that the training split lacks.
    """
    pinned = {split: names for split, names in counts.items() if split == "train"} or counts
    names = set().union(*pinned.values())
    for split, found in counts.items():
        unknown = sorted(set(found) - names)
        if unknown:
            listed = ", ".join(unknown)
            raise DataError(f"{source}: the {split} split has classes that the train split lacks: {listed}")
    return tuple(natsorted(sorted(names)))


def _describe_left_out(pictures: list[_Entry], labelled: set[str]) -> list[str]:
    """A note on pictures that lie in no class folder."""
    where = Counter("/".join(entry.parts[:-1]) or "the top folder" for entry in pictures if entry.path not in labelled)
    return [f"left out pictures that lie in no class folder: {_places(where)}"] if where else []


def _describe_nested(pictures: list[_Entry], bases: _Bases) -> list[str]:
    """A note on pictures deeper down in a class folder: it may be another layout than the user means."""
    depth = len(next(iter(bases)))
    nested = Counter(
        "/".join(entry.parts[:-1])
        for entry in pictures
        if len(entry.parts) > depth + 2 and entry.parts[:depth] in bases
    )
    return [f"pictures in folders inside a class folder belong to that class: {_places(nested)}"] if nested else []


def _places(counts: Counter[str]) -> str:
    """How many pictures lie where, in words, for the first few places."""
    listed = [f"{count:,} in {place}" for place, count in natsorted(counts.items())[:_MAX_PLACES]]
    rest = len(counts) - _MAX_PLACES
    return ", ".join([*listed, f"and more in {rest:,} other folders"] if rest > 0 else listed)


def _describe_others(entries: list[_Entry]) -> list[str]:
    """A note on files that are no pictures."""
    suffixes = Counter(entry.suffix for entry in entries if entry.suffix in _OTHER_SUFFIXES)
    if not suffixes:
        return []
    listed = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(suffixes.items()))
    return [f"left out files that are no pictures: {listed}"]


def describe_missing(counts: Counts, class_names: tuple[str, ...]) -> list[str]:
    """Notes on classes that a split lacks."""
    missing = {split: [name for name in class_names if name not in found] for split, found in counts.items()}
    return [f"the {split} split has no pictures of: {', '.join(names)}" for split, names in missing.items() if names]
