"""From rows of text to labelled samples: every cell is checked, and nothing is mended in silence."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from frostline.data.dataset import Sample, SplitName
from frostline.data.listing import SPLIT_FOLDERS, Arrangement, check_name, describe_missing, pin_classes
from frostline.data.tables import Role, Table
from frostline.errors import DataError

_KINDS = {"number": "numbers", "zoned": "dates with a time zone", "plain": "dates without a time zone"}


def label_samples(tables: Sequence[Table], source: str, splits: Sequence[SplitName | None] = ()) -> Arrangement:
    """The samples of some tables, in their order, with class names as in `listing.arrange`.

    `splits` gives the split of each table that has no column for it; by default none has one. A row whose split is
    empty has none. Times are numbers, or dates as in ISO 8601.

    Raises `DataError`, naming file and line, for an empty or odd label, a path that is empty or comes twice, a split
    that is none, and a time that cannot be read.
    """
    for table in tables:
        _check_labels(table)
        _check_paths(table, source)
    _check_unique(tables)
    chosen = [_read_splits(table, split) for table, split in zip(tables, splits or [None] * len(tables), strict=True)]
    counts = _count(tables, chosen)
    class_names = pin_classes(counts, source)
    index = {name: target for target, name in enumerate(class_names)}
    samples = tuple(
        Sample(path, index[label], split, group or None, time)
        for table, of_rows, times in zip(tables, chosen, _read_times(tables), strict=True)
        for path, label, split, group, time in zip(
            table.cells["path"], table.cells["label"], of_rows, _groups(table), times, strict=True
        )
    )
    return Arrangement(samples, class_names, (*describe_missing(counts, class_names), *_describe(tables)))


def name_labels(table: Table, names: Sequence[str]) -> Table:
    """The same table with each label, which is a number, replaced by its class name. Raises `DataError`."""
    known = {str(number): name for number, name in enumerate(names)} | {"": ""}
    labels = table.cells["label"]
    wrong = [row for row, label in enumerate(labels) if label not in known]
    if wrong:
        raise DataError(
            f"{table.place(wrong[0])}: the label {labels[wrong[0]]} has no name, there are {len(names)}: "
            f"leave out such pictures ({len(wrong):,} of them) or name the class"
        )
    cells: dict[Role, Sequence[str]] = {**table.cells, "label": [known[label] for label in labels]}
    return replace(table, cells=cells)


def _check_labels(table: Table) -> None:
    labels = table.cells["label"]
    empty = [row for row, label in enumerate(labels) if not label]
    if empty:
        raise DataError(f"{table.places_of(empty)}: the label is empty: write one, or remove the picture")
    odd = {label for label in set(labels) if label != label.strip() or not label.isprintable()}
    if odd:
        row = next(row for row, label in enumerate(labels) if label in odd)
        raise DataError(
            f"{table.place(row)}: the label {labels[row]!a} has blanks around it or unprintable characters: mend it"
        )


def _check_paths(table: Table, source: str) -> None:
    paths = table.cells["path"]
    empty = [row for row, path in enumerate(paths) if not path]
    if empty:
        raise DataError(f"{table.places_of(empty)}: the path is empty: write one, or remove the line")
    for path in paths:
        check_name(path, source)


def _check_unique(tables: Sequence[Table]) -> None:
    """Raise `DataError` where a path comes twice, which is worse with two labels."""
    if len({path for table in tables for path in table.cells["path"]}) == sum(len(table.places) for table in tables):
        return
    first: dict[str, tuple[Table, int]] = {}
    for table in tables:
        for row, path in enumerate(table.cells["path"]):
            before, other = first.setdefault(path, (table, row))
            if (before, other) == (table, row):
                continue
            labels = before.cells["label"][other], table.cells["label"][row]
            what = f"with the label {labels[0]} both times: remove one of them"
            if labels[0] != labels[1]:
                what = f"with the labels {labels[0]} and {labels[1]}: keep the right one"
            raise DataError(
                f"{before.place(other)} and {_other_place(before, table, row)}: {path} is listed twice, {what}"
            )


def _other_place(before: Table, table: Table, row: int) -> str:
    return f"{table.unit} {table.places[row]}" if table is before else table.place(row)


def _read_splits(table: Table, split: SplitName | None) -> Sequence[SplitName | None]:
    """The split of every row."""
    cells = table.cells.get("split")
    if cells is None:
        return [split] * len(table.places)
    known: Mapping[str, SplitName | None] = {
        **{text: SPLIT_FOLDERS[text.strip().lower()] for text in set(cells) if text.strip().lower() in SPLIT_FOLDERS},
        "": None,
    }
    wrong = [row for row, text in enumerate(cells) if text not in known]
    if wrong:
        raise DataError(
            f"{table.places_of(wrong)}: {cells[wrong[0]]!r} is no split: write train, val or test, or nothing"
        )
    return [known[text] for text in cells]


def _groups(table: Table) -> Sequence[str]:
    return table.cells.get("group") or [""] * len(table.places)


def _count(
    tables: Sequence[Table], splits: Sequence[Sequence[SplitName | None]]
) -> dict[SplitName | None, Counter[str]]:
    """How many pictures each class has in each split; where any row names a split, those that do not train."""
    counts: dict[SplitName | None, Counter[str]] = {}
    for table, of_rows in zip(tables, splits, strict=True):
        for (split, label), count in Counter(zip(of_rows, table.cells["label"], strict=True)).items():
            counts.setdefault(split, Counter())[label] += count
    if None in counts and len(counts) > 1:
        counts["train"] = counts.get("train", Counter()) + counts.pop(None)
    return counts


def _read_times(tables: Sequence[Table]) -> Iterator[Sequence[float | None]]:
    """The time of every row, table by table, in seconds or as the number that it is; None where the cell is empty."""
    first: tuple[str, str] | None = None
    for table in tables:
        times: list[float | None] = []
        for row, text in enumerate(table.cells.get("time", ())):
            kind, value = _read_time(text, table, row) if text else (None, None)
            times.append(value)
            if kind is None:
                continue
            first = first or (kind, table.place(row))
            if kind != first[0]:
                raise DataError(
                    f"{table.place(row)}: times are {_KINDS[kind]} here, but {_KINDS[first[0]]} in {first[1]}: "
                    "write all of them alike"
                )
        yield times or [None] * len(table.places)


def _read_time(text: str, table: Table, row: int) -> tuple[str, float]:
    """What kind of time a cell holds, and the time as a number."""
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            number = math.nan
        else:
            kind = "plain" if moment.tzinfo is None else "zoned"
            return kind, (moment.replace(tzinfo=UTC) if kind == "plain" else moment).timestamp()
    if not math.isfinite(number):
        raise DataError(f"{table.place(row)}: {text!r} is no time: write a number, or a date such as 2026-03-31 14:05")
    return "number", number


def _describe(tables: Sequence[Table]) -> list[str]:
    """Notes on what groups and times will do to a draw."""
    notes = []
    groups = {group for table in tables for group in table.cells.get("group", ())} - {""}
    if groups:
        notes.append(f"{len(groups):,} groups of pictures: none is divided between splits")
    if any("time" in table.cells for table in tables):
        notes.append("pictures have times: where splits are drawn, the newest test, and the oldest train")
    return notes
