"""Where pictures come from: the name of a dataset, a folder, an archive or a table."""

from pathlib import Path

from frostline.config import TrainConfig
from frostline.data.actions import apply_actions
from frostline.data.archives import load_archive
from frostline.data.dataset import Dataset
from frostline.data.huggingface import HUB, load_hub_dataset
from frostline.data.layouts import load_directory, load_table, require_no_columns
from frostline.data.named.registry import NAMED, load_named
from frostline.data.parquet import holds_pictures, load_parquet
from frostline.data.shards import list_shards
from frostline.data.tables import Columns, is_text_table
from frostline.data.webdataset import is_webdataset, load_webdataset
from frostline.errors import DataError, did_you_mean


def load_dataset(source: str | Path, *, data_dir: Path | None = None, columns: Columns | None = None) -> Dataset:
    """Labelled pictures from a named dataset (see `frostline datasets`), a folder, an archive or a table.

    A table is a CSV, TSV, JSON lines or parquet file of paths and labels; parquet may hold the pictures too, and a tar
    archive may be a WebDataset shard. A folder may hold any of these; see `load_directory`. `hf:owner/name` is a
    dataset on the Hugging Face hub. `columns` are the user's names for the columns of a table.

    The name of a dataset goes before a folder of the same name; write `./digits` for the folder. `data_dir` is where
    named datasets are looked for first. Raises `DataError` where nothing is found or the layout is not known, and
    `ConfigError` where a library is needed that is not installed.

    >>> load_dataset("digits").class_names[:3]
    ('0', '1', '2')
    """
    columns = columns or Columns()
    if source == "":
        raise DataError("the name of the source is empty: name a folder of pictures, an archive or a dataset")
    if isinstance(source, str) and source in NAMED:
        require_no_columns(columns, source)
        return load_named(source, data_dir)
    if isinstance(source, str) and source.startswith(HUB):
        return load_hub_dataset(source, columns)
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return load_directory(path, columns)
        if path.is_file():
            return _load_file(path, columns)
    except OSError as error:
        raise DataError(f"cannot open {source}: {error.strerror}") from None
    raise DataError(_not_found(str(source)))


def load_configured_dataset(config: TrainConfig) -> Dataset:
    """The dataset that the options name, as their actions leave it. Raises what `load_dataset` does."""
    columns = Columns(
        config.path_column, config.label_column, config.split_column, config.group_column, config.time_column
    )
    dataset = load_dataset(config.source or "", data_dir=config.data_dir, columns=columns)
    return dataset if config.actions is None else apply_actions(dataset, config.actions)


def _load_file(path: Path, columns: Columns) -> Dataset:
    """The pictures in one file: a table, a shard or an archive."""
    if is_text_table(path):
        return load_table(path, columns)
    if path.suffix.lower() == ".parquet":
        if holds_pictures(path, columns):
            return load_parquet(list_shards(path.parent, [path.name]), path.stem, path.resolve(), columns)
        return load_table(path, columns)
    if is_webdataset(path):
        return load_webdataset(list_shards(path.parent, [path.name]), path.stem, path.resolve(), columns)
    require_no_columns(columns, str(path))
    return load_archive(path)


def _not_found(source: str) -> str:
    hint = did_you_mean(source, NAMED) or "; `frostline datasets` lists the named ones"
    return f"no such folder, archive or dataset: {source}{hint}"
