"""From what a user names on the command line to picture files, in a stated order."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from natsort import natsorted

from frostline.data.folders import list_folder
from frostline.data.listing import may_be_picture
from frostline.errors import DataError


def expand_inputs(names: Iterable[str], listed: Iterable[str]) -> Iterator[Path]:
    """The picture files that `names` stand for, in the order given.

    A name is a file; a folder, which stands for every picture below it in natural order; a glob pattern, likewise;
    or `-`, which stands for the lines of `listed`. A file that is missing is given all the same, so that it can be
    reported in its place. Raises `DataError` for a folder or a pattern without pictures.
    """
    for name in names:
        if name == "-":
            yield from (Path(line) for line in (raw.rstrip("\r\n") for raw in listed) if line)
        elif Path(name).is_dir():
            yield from _below(Path(name))
        elif glob.has_magic(name) and not Path(name).exists():
            found = natsorted(path for path in glob.glob(name, recursive=True) if Path(path).is_file())  # noqa: PTH207
            if not found:
                raise DataError(f"no file matches {name}")
            yield from map(Path, found)
        else:
            yield Path(name)


def _below(folder: Path) -> list[Path]:
    names = [name for name in list_folder(folder).files if may_be_picture(name)]
    if not names:
        raise DataError(f"{folder} holds no pictures")
    return [folder / name for name in natsorted(names)]
