"""Tables of a run, a row for each object of a dataclass, as CSV that a person can open."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from frostline.errors import DataError
from frostline.files import atomic_write

_Row = TypeVar("_Row")


def save_rows(rows: Sequence[Any], kind: type, path: Path) -> None:
    """Write objects of one dataclass, its fields as columns."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def load_rows(path: Path, kind: type[_Row]) -> list[_Row]:
    """Read what `save_rows` wrote. Raises `DataError` where it is damaged, naming the row."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = [field.name for field in fields(kind)]  # type: ignore[arg-type]
            if reader.fieldnames != columns:
                raise DataError(f"{path}: its columns should be {', '.join(columns)}")
            return TypeAdapter(list[kind]).validate_python(list(reader))  # type: ignore[valid-type]
    except ValidationError as error:
        problem = error.errors()[0]
        row, column = (*problem["loc"], "")[:2]
        raise DataError(f"{path}, row {int(row) + 1}: {column} {problem['msg']}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV table ({error})") from error
