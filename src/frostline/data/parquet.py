"""Parquet files: tables of paths, and shards that hold the pictures themselves, as the library datasets writes them."""

import io
import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from frostline.data.dataset import Dataset, Sample
from frostline.data.decode import UnreadablePictureError
from frostline.data.encoded import EncodedStore
from frostline.data.labels import label_samples, name_labels
from frostline.data.shards import Shard
from frostline.data.tables import Columns, Role, Table
from frostline.errors import ConfigError, DataError

_KEPT_BYTES = 1 << 28
"""Row groups that are kept because the next pictures are likely to be in them."""


def holds_pictures(path: Path, columns: Columns) -> bool:
    """Whether a parquet file holds encoded pictures, rather than their paths. Raises `DataError`."""
    with reading_parquet(path):
        return picture_column(_open(path).schema_arrow, columns) is not None


def read_parquet_table(path: Path, columns: Columns) -> Table:
    """Read a table of paths and labels. Raises `DataError` where it is damaged or lacks a column."""
    with reading_parquet(path):
        file = _open(path)
        return _read_columns(file, path, columns.find(file.schema_arrow.names, str(path)))


def load_parquet(shards: Sequence[Shard], name: str, source: Path, columns: Columns) -> Dataset:
    """Pictures in parquet shards: a column of structs with `bytes`, or of bytes, beside one of labels.

    Labels are text, or numbers that the file's metadata gives names (`ClassLabel`); numbers without names are names
    themselves. Samples are called `<shard>/<row>`. Only labels are read here; see `ParquetStore`.

    Raises `DataError` where a shard is damaged, lacks a column, or has another form than the first one.
    """
    tables = []
    picture_columns = {}
    for shard in shards:
        with reading_parquet(shard.path):
            table, picture_columns[shard.name] = _read_shard(shard, columns)
        tables.append(table)
    samples, class_names, notes = label_samples(tables, str(source), [shard.split for shard in shards])
    store = ParquetStore({shard.name: shard.path for shard in shards}, picture_columns)
    return Dataset(name, str(source), samples, class_names, store, notes=notes)


class ParquetStore(EncodedStore):
    """Pictures in parquet files, read a row group at a time; those used last are kept, up to 256 MiB of them."""

    def __init__(self, paths: dict[str, Path], columns: dict[str, str]) -> None:
        self._paths = paths
        self._columns = columns
        self._files: dict[str, tuple[Any, list[int]]] = {}
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, sample: Sample) -> BinaryIO:
        """The picture of one cell; see `EncodedStore.open`."""
        shard, _, row = sample.path.rpartition("/")
        try:
            with self._lock, reading_parquet(self._paths[shard]):
                encoded = self._cell(shard, int(row))
        except DataError as error:
            raise UnreadablePictureError(sample.path, str(error)) from None
        if isinstance(encoded, dict):
            encoded = encoded["bytes"]
        if encoded is None:
            raise UnreadablePictureError(sample.path, "its cell in the parquet file is empty")
        return io.BytesIO(encoded)

    def _cell(self, shard: str, row: int) -> Any:
        if shard not in self._files:
            file = _open(self._paths[shard])
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._files[shard] = file, list(accumulate(sizes, initial=0))
        file, starts = self._files[shard]
        group = bisect_right(starts, row) - 1
        return self._group(shard, group, file)[row - starts[group]].as_py()

    def _group(self, shard: str, group: int, file: Any) -> Any:
        """The pictures of one row group, encoded."""
        key = shard, group
        if key not in self._kept:
            self._kept[key] = file.read_row_group(group, columns=[self._columns[shard]]).column(0)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(column.nbytes for column in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[key]


def import_pyarrow() -> Any:
    """The library that reads parquet. Raises `ConfigError` where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("parquet files need the package pyarrow: pip install 'frostline[parquet]'") from None
    return pyarrow


def _open(path: Path) -> Any:
    return import_pyarrow().parquet.ParquetFile(path, memory_map=True)


@contextmanager
def reading_parquet(path: Path | str) -> Iterator[None]:
    """Turn pyarrow's errors into a `DataError` of one line."""
    arrow = import_pyarrow()
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"cannot read the parquet file {path}: {' '.join(str(error).split())}") from None


def picture_column(schema: Any, columns: Columns) -> str | None:
    """The column that holds encoded pictures: the one named, else the first of a fitting type."""
    types = import_pyarrow().types
    for field in schema:
        fits = types.is_binary(field.type) or types.is_large_binary(field.type)
        if types.is_struct(field.type):
            fits = field.type.get_field_index("bytes") >= 0
        if fits and columns.path in (None, field.name):
            return str(field.name)
    return None


def _read_shard(shard: Shard, columns: Columns) -> tuple[Table, str]:
    """The labels of one shard, and the name of the column with its pictures."""
    file = _open(shard.path)
    schema = file.schema_arrow
    pictures = picture_column(schema, columns)
    if pictures is None:
        raise DataError(
            f"{shard.path} has no column of encoded pictures (it has {', '.join(schema.names)}): "
            "name it by --path-column, or give a table of paths on its own"
        )
    found = columns.find(schema.names, str(shard.path), ("label", "split", "group", "time"))
    table = _read_columns(file, shard.path, found)
    paths = [f"{shard.name}/{row:05d}" for row in range(len(table.places))]
    table = replace(table, cells={**table.cells, "path": paths})
    names = _class_names(schema, found["label"], shard.path)
    return (table if names is None else name_labels(table, names)), pictures


def _read_columns(file: Any, path: Path, found: dict[Role, str]) -> Table:
    """Columns as text; what is null is empty."""
    arrow = import_pyarrow()
    cells: dict[Role, Sequence[str]] = {}
    for role, name in found.items():
        try:
            text = file.read(columns=[name]).column(0).cast(arrow.string())
        except arrow.ArrowException:
            raise DataError(
                f"{path}: the column {name!r} does not hold text: name another by --{role}-column"
            ) from None
        cells[role] = [cell or "" for cell in text.to_pylist()]
    return Table(str(path), "row", range(file.metadata.num_rows), cells)


def _class_names(schema: Any, label: str, path: Path) -> list[str] | None:
    """The names of numbered classes, out of the metadata that the library datasets writes."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(label, {})
        names = feature.get("names")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: its huggingface metadata are damaged ({error}): write the file anew") from None
    return None if names is None else [str(name) for name in names]
