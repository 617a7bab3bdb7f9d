"""Tables of labels as columns of text, each row with the place that it came from: CSV, TSV and JSON lines."""

import codecs
import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from frostline.errors import DataError, some_of

Role = Literal["path", "label", "split", "group", "time"]
"""What a column is for."""

USUAL_NAMES: Mapping[Role, tuple[str, ...]] = {
    "path": ("path", "file_name"),
    "label": ("label",),
    "split": ("split",),
    "group": ("group",),
    "time": ("time",),
}
"""The names of columns that are looked for where the user names none."""

_NEEDED: tuple[Role, ...] = ("path", "label")
_SUFFIXES = {".csv": ",", ".tsv": "\t"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Columns:
    """The user's names for the columns of a table; None stands for the usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None
    time: str | None = None

    def named(self) -> list[Role]:
        """The roles whose column the user has named."""
        return [role for role in USUAL_NAMES if getattr(self, role) is not None]

    def find(self, present: Sequence[str], where: str, roles: Iterable[Role] = tuple(USUAL_NAMES)) -> dict[Role, str]:
        """The column of each role among those that are present; `split`, `group` and `time` may be absent.

        Raises `DataError`, with the columns that there are, where one is absent that is needed or named by the user,
        and where two could be meant.
        """
        found: dict[Role, str] = {}
        for role in roles:
            given, usual = getattr(self, role), USUAL_NAMES[role]
            matching = [name for name in present if name in ((given,) if given is not None else usual)]
            if len(matching) > 1:
                named = " and ".join(matching)
                raise DataError(f"{where} has the columns {named}: choose by {flag_of(role)}, or rename one of them")
            if matching:
                found[role] = matching[0]
            elif given is not None or role in _NEEDED:
                raise DataError(
                    f"{where} has no column {given or usual[0]!r} (it has {some_of(map(repr, present))}): "
                    f"name the column by {flag_of(role)}"
                )
        return found


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text, column by column; every column has as many cells as there are `places`."""

    where: str
    """The file, for errors."""
    unit: str
    """What `places` count: `line`, `row` or `sample`."""
    places: Sequence[int | str]
    cells: Mapping[Role, Sequence[str]]

    def place(self, row: int) -> str:
        """Where a row came from, such as `labels.csv, line 4`."""
        return f"{self.where}, {self.unit} {self.places[row]}"

    def places_of(self, rows: Sequence[int]) -> str:
        """The places of some rows of the file: all are counted, the first are named."""
        unit = self.unit if len(rows) == 1 else f"{self.unit}s"
        return f"{self.where}, {unit} {some_of([str(self.places[row]) for row in rows])}"


def flag_of(role: Role) -> str:
    """The command-line flag that names the column of a role."""
    return f"--{role}-column"


def is_text_table(path: Path) -> bool:
    """Whether a file is a table of text by its name."""
    return path.suffix.lower() in (*_SUFFIXES, ".jsonl")


def read_table(path: Path, columns: Columns) -> Table:
    """Read a CSV, TSV or JSON lines file, in UTF-8, by its suffix.

    Raises `DataError` where the file cannot be read, is not UTF-8 or not such a file, or lacks a column.
    """
    lines = array("q")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json_rows(file, path) if path.suffix.lower() == ".jsonl" else _csv_rows(file, path)
            cells = _collect(rows, columns, lines, path)
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(_describe_encoding(path)) from None
    except csv.Error as error:
        raise DataError(f"{path}, line {lines[-1] + 1 if lines else 1}: it is not CSV: {error}") from None
    if not lines:
        raise DataError(f"{path} has no rows: write one line for each picture")
    return Table(str(path), "line", lines, cells)


@contextmanager
def open_csv(path: Path, what: str) -> Iterator[TextIO]:
    """A CSV file in UTF-8, open to be read within the block; `what` says what it is, such as `the actions`.

    Raises `DataError` where it cannot be read, or the block finds that it is not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {what} {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from None


_Row = tuple[int, Sequence[str]]


def _collect(rows: Iterator[_Row], columns: Columns, lines: "array[int]", path: Path) -> dict[Role, list[str]]:
    """The cells of the columns that are wanted; what repeats is kept once, as labels, splits and groups do."""
    _, header = next(rows, (1, ()))
    found = columns.find(header, str(path))
    cells: dict[Role, list[str]] = {role: [] for role in found}
    wanted = [(cells[role].append, header.index(name)) for role, name in found.items()]
    seen: dict[str, str] = {}
    for line, row in rows:
        lines.append(line)
        for append, index in wanted:
            append(seen.setdefault(row[index], row[index]))
    return cells


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[_Row]:
    """The header, then every line that is not blank, each with its number."""
    reader = csv.reader(file, delimiter=_SUFFIXES[path.suffix.lower()], strict=True)
    header = next(reader, None)
    if not header:
        raise DataError(f"{path}, line 1: there are no columns: write path,label there")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1: two columns are called {twice[0]!r}: rename one of them")
    yield 1, header
    for row in reader:
        if row and len(row) != len(header):
            raise DataError(
                f"{path}, line {reader.line_num}: it has {len(row)} cells where {len(header)} are needed: "
                "mend the line, with quotes around a cell that has a delimiter in it"
            )
        if row:
            yield reader.line_num, row


def _json_rows(file: Iterable[str], path: Path) -> Iterator[_Row]:
    """The keys of the first object, then the values of every line that is not blank, each with its number."""
    header: list[str] | None = None
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        values = parse_object(line, f"{path}, line {number}")
        if header is None:
            header = list(values)
            yield number, header
        yield number, [json_text(values.get(name)) for name in header]


def parse_object(text: str | bytes, where: str) -> dict[str, Any]:
    """A JSON object. Raises `DataError` that begins with `where` for anything else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: it is not JSON: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise DataError(f'{where}: a JSON object is needed, such as {{"label": "cat"}}')
    return values


def json_text(value: object) -> str:
    """A JSON value as the text of a cell; null is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _describe_encoding(path: Path) -> str:
    """Where a file stops being UTF-8."""
    data = path.read_bytes()
    if data.startswith(_UTF16):
        return f"{path} is text in UTF-16: save it as CSV in UTF-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (
            f"{path}, line {line}: byte {error.start} is not UTF-8 ({data[error.start]:#04x}): save the file as UTF-8"
        )
    return f"{path} changed while it was read: try again"
