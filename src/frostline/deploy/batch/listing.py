"""What is to be predicted: names of pictures, and rows of tables that hold pictures, cut into pieces."""

import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from frostline.data.folders import list_folder
from frostline.data.inputs import expand_inputs, in_natural_order, listed_names
from frostline.data.listing import may_be_picture
from frostline.data.parquet import import_pyarrow, picture_column, reading_parquet
from frostline.data.tables import Columns
from frostline.deploy.batch.storage import find_files, is_address, open_file
from frostline.errors import DataError

_TABLE = ".parquet"


@dataclass(frozen=True)
class Files:
    """Pictures that are files of their own, by path or address."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def cut(self, size: int) -> Iterator["Files"]:
        """Pieces of so many pictures, the last one of what is left."""
        return (Files(self.names[start : start + size]) for start in range(0, len(self.names), size))


@dataclass(frozen=True)
class Rows:
    """Pictures that are cells of one parquet table."""

    table: str
    """Its path or address."""
    column: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def names(self) -> tuple[str, ...]:
        """What the pictures are called: table and row."""
        return tuple(f"{self.table}/{row:05d}" for row in range(self.start, self.stop))

    def cut(self, size: int) -> Iterator["Rows"]:
        """Pieces of so many pictures, the last one of what is left."""
        starts = range(self.start, self.stop, size)
        return (replace(self, start=start, stop=min(start + size, self.stop)) for start in starts)


Pictures = Files | Rows


def list_pictures(names: Sequence[str], listed: Iterable[str], path_column: str | None = None) -> list[Pictures]:
    """The pictures that `names` stand for, in the order given; see `inputs.expand_inputs`.

    A name may be an address, too: of a picture, a folder or a pattern. One that ends in .parquet is a table of
    pictures, or of their paths, which are absolute, relative to the table or addresses; so are the tables of a folder
    without pictures. `path_column` names its column.

    Raises `DataError` where there are no pictures, or a table cannot be read.
    """
    columns = Columns(path=path_column)
    expanded = chain.from_iterable(_expand(name, listed, columns) for name in names)
    pictures: list[Pictures] = []
    for is_file, items in groupby(expanded, lambda item: isinstance(item, str)):
        if is_file:
            pictures.append(Files(tuple(item for item in items if isinstance(item, str))))
        else:
            pictures += [item for item in items if isinstance(item, Rows)]
    if not sum(map(len, pictures)):
        raise DataError(f"{' '.join(names)}: there are no pictures")
    return pictures


def digest_pictures(pictures: Iterable[Pictures]) -> str:
    """A digest (SHA-256) of the names and the order of pictures."""
    digest = hashlib.sha256()
    for part in pictures:
        if isinstance(part, Rows):
            digest.update(os.fsencode(f"{part.table}\0{part.column}\0{part.start}\0{part.stop}\0\0"))
        else:
            for name in part.names:
                digest.update(os.fsencode(f"{name}\0"))
    return digest.hexdigest()


@contextmanager
def open_table(name: str) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile` behind a path or an address. Raises `DataError` for what is none."""
    arrow = import_pyarrow()
    with reading_parquet(name), open_file(name) as file:
        yield arrow.parquet.ParquetFile(file)


def _expand(name: str, listed: Iterable[str], columns: Columns) -> Iterable[str | Rows]:
    if name == "-":
        return (line if is_address(line) else str(Path(line)) for line in listed_names(listed))
    if name.lower().endswith(_TABLE) and not Path(name).is_dir():
        return _read_table(name, columns)
    found = _find(name) if is_address(name) else _find_locally(name)
    if all(file.lower().endswith(_TABLE) for file in found):
        return chain.from_iterable(_read_table(table, columns) for table in found)
    return found


def _find_locally(name: str) -> list[str]:
    """Pictures, or tables where there are none."""
    try:
        return list(map(str, expand_inputs([name], ())))
    except DataError:
        tables = [file for file in list_folder(Path(name)).files if file.lower().endswith(_TABLE)] if name else []
        if not tables:
            raise
        return [str(Path(name, table)) for table in in_natural_order(tables)]


def _find(address: str) -> list[str]:
    """Pictures below an address, or tables where there are none."""
    found = list(in_natural_order(find_files(address)))
    pictures = list(filter(may_be_picture, found))
    tables = [file for file in found if file.lower().endswith(_TABLE)]
    if not pictures and not tables:
        raise DataError(f"{address} holds no pictures")
    return pictures or tables


def _read_table(name: str, columns: Columns) -> Iterator[str | Rows]:
    """The pictures in a table, or those that it names."""
    with open_table(name) as table:
        schema = table.schema_arrow
        held = picture_column(schema, columns)
        if held is not None:
            yield Rows(name, held, 0, table.metadata.num_rows)
            return
        (column,) = columns.find(schema.names, name, ["path"]).values()
        for batch in table.iter_batches(columns=[column]):
            yield from _paths(batch.column(0), name, column)


def _paths(cells: Any, table: str, column: str) -> Iterator[str]:
    """Paths in some cells of a table; those that are relative lie beside it."""
    for cell in cells.to_pylist():
        if not isinstance(cell, str) or not cell:
            raise DataError(f"{table}: a cell of the column {column!r} holds no path: name another by --path-column")
        if is_address(cell):
            yield cell
        elif is_address(table):
            yield posixpath.join(posixpath.dirname(table), cell)
        else:
            yield str(Path(table).parent / cell)
