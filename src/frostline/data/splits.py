"""Which pictures train, which choose the epoch, and which are tested on at the end."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from frostline.data.dataset import SPLIT_NAMES, Dataset, SplitName
from frostline.data.draws import Indices, choose_draw
from frostline.data.tables import open_csv
from frostline.errors import DataError
from frostline.files import atomic_write

_UNUSED = "unused"
_COLUMNS = ["path", "label", "split"]


@dataclass(frozen=True)
class Splits:
    """Sorted indices into `Dataset.samples`, no two splits sharing one. `test` may be empty."""

    train: Indices
    val: Indices
    test: Indices

    def without(self, indices: Iterable[int]) -> "Splits":
        """The same splits, leaving out these samples."""
        left_out = np.fromiter(indices, dtype=np.int64)
        return Splits(*(np.setdiff1d(getattr(self, name), left_out) for name in SPLIT_NAMES))


def make_splits(dataset: Dataset, *, val_fraction: float = 0.1, test_fraction: float = 0.2, seed: int = 0) -> Splits:
    """Keep the splits that the source brings, and draw the ones that it lacks from its training part.

    The draw is stratified: each class gives its own share, and at least one picture, to each split. Where pictures
    have groups, whole groups are drawn instead, as close to each class's share as they allow; where they have times,
    the newest pictures are the test split, and those before them the validation split. First the test split takes
    `test_fraction` of the training part (none where that is 0), then the validation split takes `val_fraction` of what
    is left. The same dataset and `seed` always give the same splits.

    Raises `DataError` where there are fewer than two classes, a class has too few pictures to be in each split, groups
    or times leave a class no training picture, or the splits that the source brings share a group.
    """
    _check_classes(dataset)
    brought = {split: _indices_of(dataset, split) for split in SPLIT_NAMES}
    train = np.union1d(brought["train"], _indices_of(dataset, None))
    require_whole_groups(Splits(train, brought["val"], brought["test"]), dataset, dataset.source)
    draws: list[tuple[Literal["test", "val"], float]] = [("test", test_fraction), ("val", val_fraction)]
    drawn = [(split, fraction) for split, fraction in draws if not len(brought[split]) and fraction > 0]
    _check_counts(dataset, train, [split for split, _ in drawn])
    draw = choose_draw(dataset, train)
    generator = np.random.default_rng(seed)
    for position, (split, fraction) in enumerate(drawn):
        brought[split] = draw(train, fraction, len(drawn) - position, generator)
        if not len(brought[split]):
            raise DataError(
                f"{dataset.source}: no {split} split can be drawn that leaves each class a training picture without "
                "dividing a group or a time: add pictures of other groups or times, or give the splits yourself"
            )
        train = np.setdiff1d(train, brought[split])
    splits = Splits(train, brought["val"], brought["test"])
    if drawn:
        require_trainable(splits, dataset, f"{dataset.source}: the draw of {' and '.join(name for name, _ in drawn)}")
    return splits


def save_splits(splits: Splits, dataset: Dataset, path: Path) -> None:
    """Write one row a picture as CSV: path, label, and `train`, `val`, `test`, or `unused` for one in no split."""
    names = np.full(len(dataset), _UNUSED, dtype=object)
    for split in SPLIT_NAMES:
        names[getattr(splits, split)] = split
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for sample, split in zip(dataset.samples, names, strict=True):
            writer.writerow([sample.path, dataset.class_names[sample.target], split])


def load_splits(path: Path, dataset: Dataset) -> Splits:
    """Read what `save_splits` wrote, by path, for the same dataset in any order.

    Raises `DataError`, naming the line, where the file does not fit the dataset: a path that it does not have, a
    picture twice or not at all, another label, or a split that is none.
    """
    _check_classes(dataset)
    rows = _read_rows(path)
    position = {sample.path: index for index, sample in enumerate(dataset.samples)}
    chosen: dict[int, str] = {}
    for line, (name, label, split) in rows:
        where = f"{path}, line {line}"
        index = position.get(name)
        if index is None:
            raise DataError(f"{where}: the dataset has no picture {name}: make the splits anew")
        if index in chosen:
            raise DataError(f"{where}: {name} is listed twice: remove one of the lines")
        expected = dataset.class_names[dataset.samples[index].target]
        if label != expected:
            raise DataError(
                f"{where}: {name} has the label {label}, but the dataset says {expected}: make the splits anew"
            )
        if split not in (*SPLIT_NAMES, _UNUSED):
            raise DataError(f"{where}: {split!r} is no split: write train, val, test or {_UNUSED}")
        chosen[index] = split
    absent = [sample.path for index, sample in enumerate(dataset.samples) if index not in chosen]
    if absent:
        raise DataError(
            f"{path} lacks {len(absent):,} of the dataset's pictures, the first is {absent[0]}: add their lines"
        )
    splits = Splits(*(np.array(sorted(i for i in chosen if chosen[i] == name), dtype=np.int64) for name in SPLIT_NAMES))
    require_trainable(splits, dataset, str(path))
    require_whole_groups(splits, dataset, str(path))
    return splits


def read_splits(path: Path) -> dict[str, str]:
    """What `save_splits` wrote, without its dataset: the split of each picture by its path.

    Raises `DataError`, naming the line, where the file is missing or damaged.
    """
    return {name: split for _, (name, _, split) in _read_rows(path)}


def require_trainable(splits: Splits, dataset: Dataset, where: str) -> None:
    """Raise `DataError` unless every class has a training picture and there is a validation picture."""
    untrained = sorted(set(range(len(dataset.class_names))) - set(dataset.targets[splits.train].tolist()))
    if untrained:
        names = ", ".join(dataset.class_names[target] for target in untrained)
        raise DataError(f"{where} leaves no training picture of: {names}")
    if not len(splits.val):
        raise DataError(f"{where} leaves no validation picture: at least one is needed to choose the epoch")


def require_whole_groups(splits: Splits, dataset: Dataset, where: str) -> None:
    """Raise `DataError` where a group has pictures in two splits."""
    first: dict[str, SplitName] = {}
    for split in SPLIT_NAMES:
        for group in {dataset.samples[index].group for index in getattr(splits, split)} - {None}:
            assert group is not None
            if first.setdefault(group, split) != split:
                raise DataError(
                    f"{where}: the group {group} is in the splits {first[group]} and {split}: move it into one of them"
                )


def _read_rows(path: Path) -> list[tuple[int, tuple[str, str, str]]]:
    """Line number and cells of every row of a splits file."""
    rows = []
    with open_csv(path, "the splits file") as file:
        reader = csv.reader(file, strict=True)
        if next(reader, None) != _COLUMNS:
            raise DataError(f"{path}, line 1: the columns must be {','.join(_COLUMNS)}")
        for row in reader:
            if len(row) != len(_COLUMNS):
                raise DataError(f"{path}, line {reader.line_num}: {len(row)} cells where {len(_COLUMNS)} are needed")
            rows.append((reader.line_num, (row[0], row[1], row[2])))
    return rows


def _indices_of(dataset: Dataset, split: SplitName | None) -> Indices:
    return np.array([index for index, sample in enumerate(dataset.samples) if sample.split == split], dtype=np.int64)


def _check_classes(dataset: Dataset) -> None:
    if len(dataset.class_names) < 2:
        only = ", ".join(dataset.class_names)
        raise DataError(f"{dataset.source} has only one class ({only}): at least two folders of pictures are needed")


def _check_counts(dataset: Dataset, train: Indices, drawn: list[Literal["test", "val"]]) -> None:
    """Each class must have a picture for the training part and one for each split that is drawn from it."""
    if not len(train):
        raise DataError(f"{dataset.source} has no training pictures: add a train folder")
    needed = 1 + len(drawn)
    counts = np.bincount(dataset.targets[train], minlength=len(dataset.class_names))
    small = [f"{dataset.class_names[target]} ({counts[target]})" for target in np.flatnonzero(counts < needed)]
    if small:
        kinds = " and ".join(["train", *reversed(drawn)])
        without_test = "test" in drawn and counts.min() >= needed - 1
        advice = "draw no test split (--test-fraction 0)" if without_test else "remove the class"
        raise DataError(
            f"{dataset.source}: too few pictures for {kinds}, each class needs {needed}: {', '.join(small)}; "
            f"add pictures, or {advice}"
        )
