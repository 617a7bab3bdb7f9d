"""What is to be done about single pictures: a table that the doctor proposes, the user edits and a training follows."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

from frostline.data.dataset import SPLIT_NAMES, Dataset, Sample
from frostline.data.tables import open_csv
from frostline.errors import DataError
from frostline.files import atomic_write

ActionName = Literal["keep", "drop", "relabel", "move"]

_DONE = {"drop": "dropped", "relabel": "relabelled", "move": "moved to another split", "keep": "kept"}


@dataclass(frozen=True, slots=True)
class Action:
    """What to do with one picture; the user's file is left alone whatever it is."""

    path: str
    action: ActionName
    label: str = ""
    """Its new class, for `relabel`."""
    split: str = ""
    """Its new split, for `move`."""
    reason: str = ""
    """Why, for the reader."""


_COLUMNS = [field.name for field in fields(Action)]


def save_actions(actions: Iterable[Action], path: Path) -> None:
    """Write one row a picture as CSV: path, action, label, split, reason."""
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(map(astuple, actions))


def apply_actions(dataset: Dataset, path: Path) -> Dataset:
    """The dataset as the actions in a file leave it: pictures dropped, relabelled, moved to another split.

    Raises `DataError`, naming the line, where the file does not fit the dataset: a path that it does not have or that
    comes twice, an action that is none, or a label or split that is none.
    """
    place = {sample.path: index for index, sample in enumerate(dataset.samples)}
    classes = {name: target for target, name in enumerate(dataset.class_names)}
    samples: list[Sample | None] = list(dataset.samples)
    done: Counter[str] = Counter()
    seen: set[str] = set()
    for line, row in _read_rows(path):
        where = f"{path}, line {line}"
        if row["path"] not in place:
            raise DataError(f"{where}: the dataset has no picture {row['path']}: remove the line, or check the source")
        if row["path"] in seen:
            raise DataError(f"{where}: {row['path']} is listed twice: remove one of the lines")
        seen.add(row["path"])
        index = place[row["path"]]
        samples[index] = _apply(dataset.samples[index], row, classes, dataset, where)
        done[row["action"]] += 1
    counts = ", ".join(f"{done[name]:,} {_DONE[name]}" for name in get_args(ActionName) if done[name])
    note = f"{path}: of {len(dataset):,} pictures, {counts or 'none is changed'}"
    kept = tuple(sample for sample in samples if sample is not None)
    return replace(dataset, samples=kept, notes=(*dataset.notes, note))


def _apply(
    sample: Sample, row: Mapping[str, str], classes: Mapping[str, int], dataset: Dataset, where: str
) -> Sample | None:
    """One sample as its row leaves it; None where it is dropped."""
    if row["action"] == "keep":
        return sample
    if row["action"] == "drop":
        return None
    if row["action"] == "relabel":
        if row["label"] not in classes:
            known = ", ".join(list(classes)[:20])
            raise DataError(f"{where}: {row['label']!r} is no class; there are: {known}")
        return replace(sample, target=classes[row["label"]])
    if row["action"] == "move":
        if row["split"] not in SPLIT_NAMES:
            raise DataError(f"{where}: {row['split']!r} is no split: write {', '.join(SPLIT_NAMES)}")
        if sample.split is None:
            raise DataError(
                f"{where}: {dataset.source} has no splits to move pictures between; "
                "duplicates stay together with --group-duplicates"
            )
        split = next(name for name in SPLIT_NAMES if name == row["split"])
        return replace(sample, split=split)
    raise DataError(f"{where}: {row['action']!r} is no action: write {', '.join(get_args(ActionName))}")


def _read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of every row; `label`, `split` and `reason` may be left out."""
    with open_csv(path, "the actions") as file:
        reader = csv.DictReader(file, restkey="", restval="", strict=True)
        missing = {"path", "action"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{path}, line 1: the column {sorted(missing)[0]} is missing: write {','.join(_COLUMNS)}")
        rows = [(reader.line_num, row) for row in reader]
    wide = next((line for line, row in rows if "" in row), None)
    if wide is not None:
        raise DataError(f"{path}, line {wide}: more cells than columns: put quotes around a cell that has a comma")
    return [(line, {"label": "", "split": "", **row}) for line, row in rows]
