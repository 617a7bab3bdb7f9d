"""Where named datasets are looked for on this machine."""

import os
from pathlib import Path

from frostline.errors import DataError
from frostline.files import cache_folder


def datasets_cache() -> Path:
    """The part of the cache that holds datasets."""
    return cache_folder() / "datasets"


def dataset_folders(data_dir: Path | None) -> tuple[Path, ...]:
    """The folders to search for a dataset's files, in order: `data_dir`, else `FROSTLINE_DATA`, and then the cache.

    Raises `DataError` where the folder that the user chose does not exist.
    """
    chosen = str(data_dir) if data_dir is not None else os.environ.get("FROSTLINE_DATA", "")
    if not chosen:
        return (datasets_cache(),)
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        origin = "--data-dir" if data_dir is not None else "FROSTLINE_DATA"
        raise DataError(f"no such folder of datasets: {folder} (given by {origin}); correct it or leave it out")
    return folder, datasets_cache()
