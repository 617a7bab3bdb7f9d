"""A folder of answers, a parquet file for each part of the pictures: what is there is done, and says what it is of."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frostline.config import TestTimeAugmentation
from frostline.data.parquet import import_pyarrow, reading_parquet
from frostline.errors import ConfigError, DataError
from frostline.files import atomic_write, claimed
from frostline.results.answers import Answer, csv_header

FORMAT_VERSION = 1
"""Of the metadata of a part."""

_KEY = b"frostline"
_NAME = re.compile(r"part-(\d{5,})\.parquet")


@dataclass(frozen=True)
class Origin:
    """What all parts of a folder depend on."""

    classifier: str
    """A digest of its files."""
    classes: int
    """Classes that are given for each picture."""
    tta: TestTimeAugmentation
    """See `ImageClassifier.with_tta`."""
    pictures: str
    """A digest of their names."""
    parts: int
    """How many there are."""


_ORIGIN_NAMES = {
    "classifier": "another classifier",
    "classes": "another --top-k",
    "tta": "another --tta",
    "pictures": "other pictures",
    "parts": "another division into parts",
}


def encode_part(answers: Sequence[Answer], origin: Origin, number: int) -> bytes:
    """A parquet file with a row for each picture, in the columns of `answers.csv_header`.

    What a row has no value for is null: the answer to a picture that cannot be read, the error of all others.
    """
    arrow = import_pyarrow()
    errors = sum(answer.error is not None for answer in answers)
    about = {"format_version": FORMAT_VERSION, **asdict(origin), "part": number, "errors": errors}
    fields = [arrow.field(name, _type(name)) for name in csv_header(origin.classes)]
    schema = arrow.schema(fields, {_KEY: json.dumps(about)})
    columns = zip(*(_cells(answer, origin.classes) for answer in answers), strict=True)
    arrays = [arrow.array(cells, field.type) for cells, field in zip(columns, fields, strict=True)]
    file = io.BytesIO()
    arrow.parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), file)
    return file.getvalue()


class Parts:
    """The parts in a folder that are done."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder
        self._origin = origin
        self.done: set[int] = set()
        """Their numbers."""
        self.errors = 0
        """Rows in them about pictures that could not be read."""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folder, and keep other processes away from it. Raises `ConfigError` where one is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        refusal = f"another process is writing to {self.folder}: wait for it, or name another"
        with claimed(self.folder / ".lock", refusal):
            yield

    def find(self, *, go_on: bool) -> None:
        """Look for parts that are done.

        Raises `ConfigError` where there are some without `go_on`, or of another origin.
        """
        found = sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))
        if found and not go_on:
            raise ConfigError(f"{self.folder} has the parts of an earlier run: add --continue, or name another folder")
        for path in found:
            about = self._read(path)
            self.done.add(about["part"])
            self.errors += about["errors"]

    def add(self, number: int, content: bytes, errors: int) -> None:
        """Write a part that `encode_part` made."""
        with atomic_write(self.folder / f"part-{number:05d}.parquet", "wb") as file:
            file.write(content)
        self.done.add(number)
        self.errors += errors

    def _read(self, path: Path) -> dict[str, Any]:
        """What a part says about itself, which must be of the same origin."""
        anew = f"remove {self.folder} to start anew"
        try:
            with reading_parquet(path):
                about = dict(json.loads(import_pyarrow().parquet.read_schema(path).metadata[_KEY]))
            before = {name: about[name] for name in ("format_version", "part", "errors", *_ORIGIN_NAMES)}
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} is no part that frostline wrote: {anew}") from error
        for name, what in _ORIGIN_NAMES.items():
            if before[name] != getattr(self._origin, name):
                raise ConfigError(f"{path} is of {what}: give the same again, or {anew}")
        return before


def _type(column: str) -> Any:
    arrow = import_pyarrow()
    if column.startswith("probability"):
        return arrow.float32()
    return arrow.bool_() if column == "far" else arrow.string()


def _cells(answer: Answer, classes: int) -> list[object]:
    """The values of one row, in the order of the columns."""
    if answer.error is not None:
        return [answer.path, None, *[None] * (2 * classes), None, answer.error]
    named = [cell for pair in answer.top for cell in pair]
    return [answer.path, answer.answer, *named, answer.far, None]
