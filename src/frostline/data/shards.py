"""Files that hold many pictures each: how a folder of them is listed, and which split a file's name means."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from natsort import natsorted

from frostline.data.dataset import SplitName
from frostline.data.listing import SPLIT_FOLDERS, check_name
from frostline.errors import DataError


class Shard(NamedTuple):
    """One file of pictures: its name below the source, where it is, and the split that its name means."""

    name: str
    path: Path
    split: SplitName | None = None


def list_shards(root: Path, names: Sequence[str]) -> list[Shard]:
    """The shards called `names` below a folder, in natural order.

    `train-00000-of-00002.parquet` and `train/0000.tar` mean a split; either all names do so or none.
    Raises `DataError` where only some do.
    """
    for name in names:
        check_name(name, str(root))
    shards = [Shard(name, root / name, split_of(name)) for name in natsorted(names)]
    without = [shard.name for shard in shards if shard.split is None]
    if without and len(without) < len(shards):
        raise DataError(
            f"{root}: the name {without[0]} means no split, others do: rename it, such as train-{Path(without[0]).name}"
        )
    return shards


def split_of(name: str) -> SplitName | None:
    """The split that a file's name means, if any: the last word in it that does."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_FOLDERS]
    return SPLIT_FOLDERS[words[-1]] if words else None
