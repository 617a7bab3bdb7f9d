"""What a folder holds: class folders, a table of labels, or shards; looked for through wrapping folders."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from frostline.data.dataset import Dataset, SplitName
from frostline.data.folders import FileStore, load_folder
from frostline.data.labels import label_samples
from frostline.data.listing import SPLIT_FOLDERS, Arrangement, is_hidden, may_be_picture
from frostline.data.parquet import load_parquet, read_parquet_table
from frostline.data.shards import Shard, list_shards
from frostline.data.tables import Columns, Role, Table, is_text_table, read_table
from frostline.data.webdataset import load_webdataset
from frostline.errors import DataError, some_of

_LABELS = "labels.csv"
_METADATA = ("metadata.csv", "metadata.jsonl")


def load_directory(root: Path, columns: Columns) -> Dataset:
    """The pictures in a folder, in any of the forms that are known, inside any number of single wrapping folders.

    In this order: a table `labels.csv`; `metadata.csv` or `metadata.jsonl`, also in folders of splits, as in Hugging
    Face's image folders; parquet or tar shards; else class folders. Raises `DataError`, also where the user has named
    columns and there is nothing that has any.
    """
    folder = root
    while True:
        names = _names(folder)
        load = _find_form(folder, names)
        if load is not None:
            return load(root, columns)
        inner = [name for name in names if (folder / name).is_dir()]
        if len(inner) != 1 or inner[0].lower() in SPLIT_FOLDERS or any(map(may_be_picture, set(names) - set(inner))):
            break
        folder = folder / inner[0]
    require_no_columns(columns, str(root))
    return load_folder(root)


def load_table(path: Path, columns: Columns, name: str | None = None, source: Path | None = None) -> Dataset:
    """The pictures that a table lists, by paths that are absolute or relative to its folder.

    Raises `DataError` as `label_samples` does, and where pictures are missing.
    """
    table = read_table(path, columns) if is_text_table(path) else read_parquet_table(path, columns)
    arranged = _arrange(path.parent, [table], [None])
    source = (source or path).resolve()
    return _dataset(name or path.stem, source, path.parent, arranged)


def require_no_columns(columns: Columns, source: str) -> None:
    """Raise `DataError` where the user has named columns of a source that has none."""
    named = columns.named()
    if named:
        raise DataError(f"{source} has no table whose columns could be named: leave out --{named[0]}-column")


_Load = Callable[[Path, Columns], Dataset]
_LoadShards = Callable[[Sequence[Shard], str, Path, Columns], Dataset]

_SHARDS: Mapping[str, _LoadShards] = {".parquet": load_parquet, ".tar": load_webdataset}


def _find_form(folder: Path, names: Sequence[str]) -> _Load | None:
    """What reads a folder that is more than class folders; None where it is not."""
    if _LABELS in names:
        return partial(_load_labels, folder)
    inside = [f"{name}/{file}" for name in names if name.lower() in SPLIT_FOLDERS for file in _names(folder / name)]
    files = [*names, *inside]
    metadata = [file for file in files if file.rpartition("/")[2] in _METADATA]
    if metadata:
        return partial(_load_metadata, folder, metadata)
    if not any(may_be_picture(file) and (folder / file).is_file() for file in files):
        for suffix, load in _SHARDS.items():
            shards = [file for file in files if file.lower().endswith(suffix)]
            if shards:
                return partial(_load_shards, folder, shards, load)
    return None


def _load_labels(folder: Path, root: Path, columns: Columns) -> Dataset:
    return load_table(folder / _LABELS, columns, _name(root), root)


def _load_shards(folder: Path, names: Sequence[str], load: _LoadShards, root: Path, columns: Columns) -> Dataset:
    return load(list_shards(folder, names), _name(root), root.resolve(), columns)


def _names(folder: Path) -> list[str]:
    """The names in a folder that are not hidden, sorted; none where it is no folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if not is_hidden(path.name))
    except NotADirectoryError:
        return []
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}: {error.strerror}") from None


def _name(root: Path) -> str:
    return root.resolve().name


def _load_metadata(folder: Path, files: Sequence[str], root: Path, columns: Columns) -> Dataset:
    """The pictures that metadata files list, each by a path below the folder that the file is in."""
    tables = [_inside(read_table(folder / file, columns), file.rpartition("/")[0]) for file in files]
    splits: list[SplitName | None] = [SPLIT_FOLDERS.get(file.partition("/")[0].lower()) for file in files]
    if splits == [None] and "split" not in tables[0].cells:
        tables = [_split_by_folder(tables[0])]
    return _dataset(_name(root), root.resolve(), folder, _arrange(folder, tables, splits))


def _inside(table: Table, folder: str) -> Table:
    """The same table with its paths below `folder`. Raises `DataError` for one that leads out of it."""
    paths = table.cells["path"]
    for row, path in enumerate(paths):
        if os.path.isabs(path) or ".." in path.split("/"):  # noqa: PTH117 - quicker for many rows
            raise DataError(f"{table.place(row)}: {path!a} leads out of the folder: metadata name pictures beside them")
    return _with(table, "path", [f"{folder}/{path}" for path in paths]) if folder else table


def _split_by_folder(table: Table) -> Table:
    """The same table with the splits that its paths begin with, where all of them do."""
    tops = [path.removeprefix("./").partition("/")[0] for path in table.cells["path"]]
    return _with(table, "split", tops) if all(top.lower() in SPLIT_FOLDERS for top in set(tops)) else table


def _with(table: Table, role: Role, cells: Sequence[str]) -> Table:
    return replace(table, cells={**table.cells, role: cells})


def _arrange(folder: Path, tables: Sequence[Table], splits: Sequence[SplitName | None]) -> Arrangement:
    """Samples of tables whose paths are relative to `folder`, or absolute; each picture must be there."""
    prefix = f"{folder.resolve().as_posix()}/"
    plain = [_with(table, "path", [_plain(path, prefix) for path in table.cells["path"]]) for table in tables]
    arranged = label_samples(plain, str(folder), splits)
    for table in plain:
        paths = table.cells["path"]
        files = (os.path.join(folder, path) for path in paths)  # noqa: PTH118 - quicker for many rows
        missing = [row for row, file in enumerate(files) if not os.path.isfile(file)]  # noqa: PTH113
        if missing:
            named = some_of(f"{paths[row]} ({table.unit} {table.places[row]})" for row in missing)
            raise DataError(
                f"{table.where}: {len(missing):,} of {len(paths):,} pictures are missing: {named}; "
                f"paths are relative to {folder.resolve()}"
            )
    return arranged


def _plain(path: str, prefix: str) -> str:
    """One way to write a path: without `./` or `a/../`, and relative where it lies below the table's folder."""
    return os.path.normpath(path).replace(os.sep, "/").removeprefix(prefix) if path else path


def _dataset(name: str, source: Path, folder: Path, arranged: Arrangement) -> Dataset:
    return Dataset(name, str(source), arranged.samples, arranged.class_names, FileStore(folder), notes=arranged.notes)
