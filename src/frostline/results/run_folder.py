"""The folder that a run leaves: where each of its files is, and how a new one is claimed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.errors import ConfigError, DataError, FrostlineError
from frostline.files import atomic_write


@dataclass(frozen=True)
class RunFolder:
    """Paths within one run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """Every option, to repeat the run with."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Machine, versions and weights."""
        return self.path / "environment.json"

    @property
    def splits(self) -> Path:
        """Which picture is in which split."""
        return self.path / "splits.csv"

    @property
    def unreadable(self) -> Path:
        """The pictures that were left out, with reasons."""
        return self.path / "unreadable.csv"

    @property
    def history(self) -> Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """The figures; written when the run is finished."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """Folder of predictions, one CSV a split."""
        return self.path / "predictions"

    @property
    def probe_predictions(self) -> Path:
        """What the linear probe of the pretrained features says of the pictures that the figures are of."""
        return self.predictions / "probe.csv"

    @property
    def check(self) -> Path:
        """What the short check before training found."""
        return self.path / "check.json"

    @property
    def layers(self) -> Path:
        """The layer table: what was frozen and what trained."""
        return self.path / "layers.csv"

    @property
    def pictures(self) -> Path:
        """A zip of the thumbnails that the report shows, named by their row in the predictions."""
        return self.path / "pictures.zip"

    @property
    def report(self) -> Path:
        """The run on one page."""
        return self.path / "report.html"

    @property
    def classifier(self) -> Path:
        """Folder of the classifier."""
        return self.path / "classifier"

    @property
    def checkpoint(self) -> Path:
        """Folder of what is needed to resume."""
        return self.path / "checkpoint"

    @property
    def log(self) -> Path:
        """What was said on the way."""
        return self.path / "log.txt"

    def picture(self, name: str) -> Path:
        """Path of one of the pictures that the run draws."""
        return self.path / f"{name}.png"

    def write_json(self, path: Path, values: dict[str, Any]) -> None:
        """Write one of the run's JSON files whole."""
        with atomic_write(path) as file:
            json.dump(values, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the run's JSON files. Raises `DataError` where it is missing or damaged."""
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}); start a new run") from error


def create_run_folder(runs_dir: Path, dataset: str, backbone: str) -> RunFolder:
    """Claim `<dataset>-<backbone>-<number>` with the next free number; an existing folder is never touched."""
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        before = run_folders(runs_dir, dataset, backbone)
        number = _number(before[-1].path) + 1 if before else 1
        while True:
            try:
                path = runs_dir / f"{_name(dataset, backbone)}-{number}"
                path.mkdir()
                return RunFolder(path)
            except FileExistsError:
                number += 1
    except OSError as error:
        reason = "it is a file" if runs_dir.is_file() else error.strerror
        raise FrostlineError(
            f"cannot make a run folder in {runs_dir}: {reason}; choose another place with --runs-dir"
        ) from error


def run_folders(runs_dir: Path, dataset: str, backbone: str) -> list[RunFolder]:
    """The folders of the runs of a backbone on a dataset, by their number."""
    name = re.escape(_name(dataset, backbone))
    found = [path for path in runs_dir.glob("*-*") if re.fullmatch(rf"{name}-\d+", path.name)]
    return [RunFolder(path) for path in sorted(found, key=_number)]


def _name(dataset: str, backbone: str) -> str:
    return re.sub(r"[^\w.-]+", "_", f"{dataset}-{backbone}")


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def open_run_folder(path: str | Path) -> RunFolder:
    """An existing run's folder. Raises `ConfigError` where there is none."""
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        raise ConfigError(f"no such run: {path}")
    if not folder.config.is_file():
        raise ConfigError(f"{path} is not the folder of a run: it has no config.yaml")
    return folder
