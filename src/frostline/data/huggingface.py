"""Datasets as Hugging Face's library keeps them: folders with metadata files, and names on its hub."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from frostline.data.dataset import Dataset, Sample, SplitName
from frostline.data.decode import UnreadablePictureError
from frostline.data.encoded import EncodedStore, open_picture
from frostline.data.labels import label_samples, name_labels
from frostline.data.listing import SPLIT_FOLDERS
from frostline.data.tables import Columns, Role, Table
from frostline.errors import ConfigError, DataError, some_of

HUB = "hf:"
"""What the name of a dataset on the hub begins with."""


class HubStore(EncodedStore):
    """Pictures in datasets that the library has memory-mapped; samples are called `<split>/<row>`."""

    def __init__(self, splits: dict[str, Any], column: str) -> None:
        self._splits = splits
        self._column = column

    def open(self, sample: Sample) -> BinaryIO:
        """The picture of one cell; see `EncodedStore.open`."""
        split, _, row = sample.path.partition("/")
        cell = self._splits[split][int(row)][self._column] or {}
        if cell.get("bytes") is not None:
            return io.BytesIO(cell["bytes"])
        if cell.get("path") is None:
            raise UnreadablePictureError(sample.path, "its cell in the dataset is empty")
        return open_picture(Path(cell["path"]))


def load_hub_dataset(source: str, columns: Columns) -> Dataset:
    """A dataset on the Hugging Face hub, as `hf:owner/name`, downloaded and kept by the library datasets.

    Splits other than train, validation and test are left out, with a note. Raises `ConfigError` where the library is
    not installed, and `DataError` where the dataset cannot be had or has no column of pictures or of labels.
    """
    name = source.removeprefix(HUB)
    splits = _download(name)
    known = {split: rows for split, rows in splits.items() if split in SPLIT_FOLDERS}
    if not known:
        raise DataError(f"{source} has no train, validation or test split (it has {some_of(splits)})")
    column = _picture_column(next(iter(known.values())), source, columns)
    tables = [_read_rows(rows, f"{source}, split {split}", split, columns) for split, rows in known.items()]
    chosen: list[SplitName | None] = [SPLIT_FOLDERS[split] for split in known]
    samples, class_names, notes = label_samples(tables, source, chosen)
    if len(known) < len(splits):
        others = some_of(split for split in splits if split not in known)
        notes = (*notes, f"left out splits that are not train, validation or test: {others}")
    encoded = {
        split: rows.cast_column(column, type(rows.features[column])(decode=False)) for split, rows in known.items()
    }
    return Dataset(Path(name).name, source, samples, class_names, HubStore(encoded, column), notes=notes)


def _download(name: str) -> dict[str, Any]:
    """The splits of a dataset by name."""
    try:
        import datasets
    except ImportError:
        raise ConfigError(f"{HUB}{name} needs the library datasets: pip install 'frostline[huggingface]'") from None
    try:
        return dict(datasets.load_dataset(name))
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot load {HUB}{name}: {reason}; check the name and the connection") from None


def _picture_column(rows: Any, source: str, columns: Columns) -> str:
    """The column of pictures: the one named, else the first."""
    found: list[str] = [name for name, feature in rows.features.items() if type(feature).__name__ == "Image"]
    if columns.path is not None:
        found = [name for name in found if name == columns.path]
    if not found:
        raise DataError(f"{source} has no such column of pictures (it has {some_of(rows.features)}): see --path-column")
    return found[0]


def _read_rows(rows: Any, where: str, split: str, columns: Columns) -> Table:
    """Labels and the like of one split, as text."""
    found = columns.find(list(rows.features), where, ("label", "split", "group", "time"))
    cells: dict[Role, Sequence[str]] = {
        role: ["" if cell is None else str(cell) for cell in rows.select_columns([name])[name]]
        for role, name in found.items()
    }
    cells["path"] = [f"{split}/{row:05d}" for row in range(len(rows))]
    table = Table(where, "row", range(len(rows)), cells)
    names = getattr(rows.features[found["label"]], "names", None)
    return table if names is None else name_labels(table, names)
