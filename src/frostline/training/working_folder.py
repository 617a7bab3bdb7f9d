"""The folder that a training works in: the run folder for the first rank, and a copy that is thrown away for others.

So all ranks do the same, with or without a disk that they share, and only the first leaves something.
"""

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from frostline.config import TrainConfig
from frostline.progress import say
from frostline.results.run_folder import RunFolder, create_run_folder, open_run_folder, run_folders
from frostline.training.distributed import Ranks


@contextmanager
def new_folder(runs_dir: Path, dataset: str, backbone: str, ranks: Ranks) -> Iterator[RunFolder]:
    """The folder of a new run. After an error it is removed, unless there is a checkpoint to go on from."""
    if not ranks.is_first:
        with _passing_folder() as folder:
            yield folder
        return
    folder = create_run_folder(runs_dir, dataset, backbone)
    try:
        yield folder
    except BaseException as error:
        if not folder.checkpoint.exists():
            shutil.rmtree(folder.path, ignore_errors=True)
        elif isinstance(error, KeyboardInterrupt):
            say(f"what is trained so far is kept: go on with --resume {folder.path}")
        raise


@contextmanager
def resumed_folder(path: str | Path, ranks: Ranks) -> Iterator[RunFolder]:
    """The folder of a run that was stopped. Raises `ConfigError` where there is none."""
    folder = open_run_folder(path) if ranks.is_first else None
    if folder is not None:
        for leftover in folder.path.rglob(".*.tmp"):
            leftover.unlink()
    contents = ranks.from_first({} if folder is None or ranks.count == 1 else _what_resuming_needs(folder))
    if folder is not None:
        yield folder
        return
    with _passing_folder() as copy:
        copy.checkpoint.mkdir()
        for name, content in contents.items():
            (copy.path / name).write_bytes(content)
        yield copy


def find_stopped(config: TrainConfig, dataset: str) -> Path | None:
    """The last run of these options that is not finished; None where there is none."""
    for folder in reversed(run_folders(config.runs_dir, dataset, config.backbone)):
        if folder.config.is_file() and not folder.metrics.exists() and TrainConfig.make(file=folder.config) == config:
            return folder.path
    return None


@contextmanager
def _passing_folder() -> Iterator[RunFolder]:
    """A folder that is removed, also when `torchrun` ends the process because another one has failed."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with TemporaryDirectory(prefix="frostline-rank-", ignore_cleanup_errors=True) as place:
            yield RunFolder(Path(place))
    finally:
        signal.signal(signal.SIGTERM, before)


def _what_resuming_needs(folder: RunFolder) -> dict[str, bytes]:
    """Files by their path within the run folder."""
    files = [folder.config, folder.environment, folder.splits]
    if folder.checkpoint.is_dir():
        files += folder.checkpoint.iterdir()
    return {str(file.relative_to(folder.path)): file.read_bytes() for file in files if file.is_file()}
