"""The pictures of a run: decoded, what cannot be read left out, and looked at."""

import csv
from collections.abc import Sequence
from itertools import chain

import numpy as np

from frostline.config import TrainConfig
from frostline.data.audit.short import short_check
from frostline.data.dataset import Dataset
from frostline.data.machine import available_memory
from frostline.data.pixels import Pixels, Unreadable, read_pixels, require_readable
from frostline.data.splits import Splits, require_trainable, save_splits
from frostline.files import atomic_write
from frostline.progress import say
from frostline.results.record import save_notes
from frostline.results.run_folder import RunFolder
from frostline.training.distributed import Ranks
from frostline.training.doctor import last_check


def read_pictures(
    folder: RunFolder, dataset: Dataset, splits: Splits, size: int, config: TrainConfig, ranks: Ranks
) -> tuple[Pixels, Splits]:
    """Decode the pictures, each rank its own, for an input of `size` pixels.

    What cannot be read is left out, and listed in the run folder, if that is wanted; else it raises `DataError`.
    """
    pixels, own_unreadable = read_pixels(
        dataset,
        size=size,
        resize_mode=config.resize_mode,
        skip_unreadable=True,
        memory_limit=available_memory() // 4 // ranks.on_machine,
        indices=ranks.share(np.arange(len(dataset))),
    )
    unreadable = sorted(chain(*ranks.gather(own_unreadable)), key=lambda item: item.index)
    if not config.skip_unreadable:
        require_readable(unreadable, dataset)
    if unreadable:
        _record_unreadable(unreadable, folder)
        splits = splits.without(item.index for item in unreadable)
        save_splits(splits, dataset, folder.splits)
        require_trainable(splits, dataset, f"leaving out what cannot be read of {dataset.source}")
    return pixels, splits


def check_pictures(
    folder: RunFolder, dataset: Dataset, splits: Splits, pixels: Pixels, config: TrainConfig, ranks: Ranks
) -> None:
    """Say what the short check finds, and keep it for the report."""
    if config.check:
        everything = np.arange(len(dataset))
        digests = np.array(pixels.digests(ranks.share(everything)), dtype="S32")
        notes = short_check(dataset, splits, ranks.join_rows(everything, digests).tolist())
        for line in notes:
            say(f"note: {line}")
        found = last_check(dataset, config.runs_dir)
        save_notes([*notes, *([found] if found else [])], folder.check)


def _record_unreadable(unreadable: Sequence[Unreadable], folder: RunFolder) -> None:
    say(f"{len(unreadable):,} pictures cannot be read and are left out: see {folder.unreadable}")
    with atomic_write(folder.unreadable) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([item.path, item.reason] for item in unreadable)
