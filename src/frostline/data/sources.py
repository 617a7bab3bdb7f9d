"""Where pictures come from: the name of a dataset, a folder or an archive."""

import difflib
from pathlib import Path

from frostline.data.archives import load_archive
from frostline.data.dataset import Dataset
from frostline.data.folders import load_folder
from frostline.data.named.registry import NAMED, load_named
from frostline.errors import DataError


def load_dataset(source: str | Path, *, data_dir: Path | None = None) -> Dataset:
    """Labelled pictures from a named dataset (see `frostline datasets`), a folder, or a zip or tar archive.

    The name of a dataset goes before a folder of the same name; write `./digits` for the folder. `data_dir` is where
    named datasets are looked for first. Raises `DataError` where nothing is found or the layout is not known.

    >>> load_dataset("digits").class_names[:3]
    ('0', '1', '2')
    """
    if source == "":
        raise DataError("the name of the source is empty: name a folder of pictures, an archive or a dataset")
    if isinstance(source, str) and source in NAMED:
        return load_named(source, data_dir)
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return load_folder(path)
        if path.is_file():
            return load_archive(path)
    except OSError as error:
        raise DataError(f"cannot open {source}: {error.strerror}") from None
    raise DataError(_not_found(str(source)))


def _not_found(source: str) -> str:
    close = difflib.get_close_matches(source.lower(), NAMED, n=1)
    if close:
        return f"no such folder or archive: {source} (did you mean the dataset {close[0]}?)"
    return f"no such folder, archive or dataset: {source} (`frostline datasets` lists the named ones)"
