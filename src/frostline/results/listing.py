"""The runs of a folder, best first, from their small files alone."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frostline.config import TrainConfig
from frostline.errors import ConfigError, FrostlineError
from frostline.results.figures import RunFigures
from frostline.results.run_folder import RunFolder


@dataclass(frozen=True)
class ListedRun:
    """One run; what its files do not tell is None."""

    name: str
    """Its folder, from the one that is listed."""
    dataset: str | None
    backbone: str | None
    size: int | None
    """Side of the network's input in pixels."""
    val_accuracy: float | None
    test_accuracy: float | None
    """None where there is no test split too."""
    epochs: int | None
    seconds: float | None
    """In all."""
    started: str | None
    """ISO 8601."""
    problem: str | None
    """Why it is no finished, whole run; None where it is one."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return asdict(self)


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs in a folder, those of a cross-validation's folds too: the highest validation accuracy first.

    Those without one come last, by name. Raises `ConfigError` where there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}: name the one that holds the runs")
    runs = [_read(run, run.path.relative_to(folder).as_posix()) for run in _run_folders(folder)]
    return sorted(runs, key=lambda run: -1.0 if run.val_accuracy is None else run.val_accuracy, reverse=True)


def _run_folders(folder: Path, depth: int = 2) -> Iterator[RunFolder]:
    """The folders of runs, up to so many levels down, by name."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        run = RunFolder(path)
        if any(file.exists() for file in (run.config, run.metrics, run.history)):
            yield run
        elif depth > 1:
            yield from _run_folders(path, depth - 1)


def _read(run: RunFolder, name: str) -> ListedRun:
    config: TrainConfig | None = None
    figures: RunFigures | None = None
    environment: dict[str, Any] = {}
    problem = None
    try:
        config = TrainConfig.make(file=run.config)
        environment = run.read_json(run.environment)
        if run.metrics.exists():
            figures = RunFigures.load(run.metrics)
            problem = "interrupted" if figures.interrupted else None
        else:
            problem = f"not finished: frostline train --resume {run.path}"
    except FrostlineError as error:
        problem = str(error)
    test = None if figures is None else figures.test
    return ListedRun(
        name=name,
        dataset=environment.get("dataset", {}).get("name"),
        backbone=None if config is None else config.backbone,
        size=None if config is None else config.size,
        val_accuracy=None if figures is None else figures.val.accuracy,
        test_accuracy=None if test is None else test.accuracy,
        epochs=None if figures is None else figures.epochs,
        seconds=None if figures is None else sum(figures.seconds.values()),
        started=environment.get("started"),
        problem=problem,
    )
