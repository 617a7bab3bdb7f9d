"""A run as its folder holds it: every file read, and those that are missing or damaged named."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from frostline.config import TrainConfig
from frostline.data.dataset import SPLIT_NAMES, SplitName
from frostline.errors import ConfigError, DataError, FrostlineError
from frostline.files import atomic_write
from frostline.results.figures import RunFigures
from frostline.results.history import EpochRecord, load_history
from frostline.results.predictions import Predictions, load_predictions
from frostline.results.rows import load_rows, save_rows
from frostline.results.run_folder import RunFolder
from frostline.results.thumbnails import Thumbnails

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class LayerRow:
    """One layer of the backbone, as in the layer table."""

    index: int
    name: str
    operation: str
    output_shape: str
    parameters: int
    part: str
    """trunk, frozen or trainable."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run; a part is None, or empty, where its file is missing or damaged."""

    folder: RunFolder
    config: TrainConfig | None
    environment: Mapping[str, Any]
    history: tuple[EpochRecord, ...]
    figures: RunFigures | None
    predictions: Mapping[SplitName, Predictions]
    probe: Predictions | None
    """Of the linear probe of the pretrained features."""
    layers: tuple[LayerRow, ...]
    notes: tuple[str, ...] | None
    """What the short check of the pictures found; None where it did not run."""
    thumbnails: Thumbnails
    missing: tuple[str, ...]
    """What could not be read, a line each."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.resolve().name

    @property
    def headline(self) -> Predictions | None:
        """The predictions that the run's figures are of, if they are there."""
        if self.figures is not None:
            return self.predictions.get(self.figures.figures_of)
        return self.predictions.get("test", self.predictions.get("val"))


def read_run(path: str | Path) -> RunRecord:
    """Read all that there is of a run. Raises `ConfigError` where the folder is no run's."""
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        raise ConfigError(f"no such run: {path}")
    if not any(file.exists() for file in (folder.config, folder.metrics, folder.history, folder.predictions)):
        raise ConfigError(f"{path} is not the folder of a run: it has no config.yaml, metrics.json or history.csv")
    parts = _Parts(folder.path)
    figures = parts.read(folder.metrics, RunFigures.load)
    splits = SPLIT_NAMES if figures is None else tuple(figures.trust.splits)
    predictions: dict[SplitName, Predictions] = {}
    for split in splits:
        file = folder.predictions / f"{split}.csv"
        found = parts.read(file, load_predictions, wanted=figures is not None)
        if found is not None:
            predictions[split] = found
    return RunRecord(
        folder=folder,
        config=parts.read(folder.config, lambda file: TrainConfig.make(file=file)),
        environment=parts.read(folder.environment, folder.read_json) or {},
        history=tuple(parts.read(folder.history, load_history) or ()),
        figures=figures,
        predictions=predictions,
        probe=parts.read(
            folder.probe_predictions, load_predictions, wanted=figures is not None and figures.probe is not None
        ),
        layers=tuple(parts.read(folder.layers, load_layers) or ()),
        notes=parts.read(folder.check, load_notes, wanted=False),
        thumbnails=parts.read(folder.pictures, Thumbnails.load) or Thumbnails({}),
        missing=tuple(parts.missing),
    )


class _Parts:
    """Reads the files of a folder, and lists what is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.missing: list[str] = []

    def read(self, file: Path, load: Callable[[Path], _Value], *, wanted: bool = True) -> _Value | None:
        """What `load` makes of a file; None where it is not there, which is listed if it is wanted, or damaged."""
        name = file.relative_to(self._folder).as_posix()
        if not file.exists():
            if wanted:
                self.missing.append(f"{name} is missing")
            return None
        try:
            return load(file)
        except (FrostlineError, OSError) as error:
            self.missing.append(f"{name} is damaged: {str(error).removeprefix(f'{file}').lstrip(':, ')}")
            return None


def save_layers(layers: Sequence[LayerRow], path: Path) -> None:
    """Write the layer table as CSV."""
    save_rows(layers, LayerRow, path)


def load_layers(path: Path) -> list[LayerRow]:
    """Read what `save_layers` wrote. Raises `DataError` where it is damaged."""
    return load_rows(path, LayerRow)


def save_notes(notes: Sequence[str], path: Path) -> None:
    """Write what the short check found as JSON."""
    with atomic_write(path) as file:
        json.dump({"notes": list(notes)}, file, indent=2, ensure_ascii=False)
        file.write("\n")


def load_notes(path: Path) -> tuple[str, ...]:
    """Read what `save_notes` wrote. Raises `DataError` where it is damaged."""
    notes = RunFolder(path.parent).read_json(path).get("notes")
    if not isinstance(notes, list):
        raise DataError(f"{path} has no list of notes")
    return tuple(map(str, notes))
