"""Cross-validation: as many trainings as there are folds, and what they come to together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.folds import make_folds
from frostline.errors import ConfigError
from frostline.files import atomic_write
from frostline.progress import say
from frostline.results.metrics import Metrics, compute_metrics
from frostline.results.predictions import Predictions, join_predictions, load_predictions, save_predictions
from frostline.results.run_folder import create_run_folder
from frostline.training.distributed import require_alone
from frostline.training.doctor import keep_duplicates_together
from frostline.training.execution import OnEpoch, Run
from frostline.training.run import train

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "loss")
"""Metrics whose mean and deviation over the folds are given."""


@dataclass(frozen=True)
class Spread:
    """A metric over the folds."""

    mean: float
    deviation: float
    """Standard deviation of a fold's, with one degree of freedom taken off."""


@dataclass(frozen=True)
class CrossValidation:
    """The runs of all folds, and their figures."""

    folder: Path
    """Holds `summary.json`, `predictions.csv` of every picture by the run that has not seen it, and the runs."""
    runs: tuple[Run, ...]
    metrics: Metrics
    """Of the predictions of all folds together."""
    spread: dict[str, Spread]


def cross_validate(dataset: Dataset, config: TrainConfig, *, on_epoch: OnEpoch | None = None) -> CrossValidation:
    """Train once for each of `config.folds`, each tested on its own part of the pictures.

    Ctrl-C stops it all; the folds that are done stay. Raises what `make_folds` and `train` do, and `ConfigError` where
    the options do not say how many folds.
    """
    if config.folds is None:
        raise ConfigError("cross-validation needs a number of folds: give --folds, such as 5")
    require_alone("--folds")
    if config.splits is not None:
        raise ConfigError("--folds draws its own splits: leave out --splits")
    if config.group_duplicates:
        dataset = keep_duplicates_together(dataset, config)
    folds = make_folds(dataset, config.folds, val_fraction=config.val_fraction, seed=config.seed)
    folder = create_run_folder(config.runs_dir, dataset.name, f"{config.backbone}-folds").path
    each = config.model_copy(update={"folds": None, "runs_dir": folder})
    runs = []
    for number, splits in enumerate(folds, start=1):
        say(f"fold {number} of {len(folds)}")
        runs.append(train(dataset, each, splits=splits, on_epoch=on_epoch))
        if runs[-1].interrupted:
            raise KeyboardInterrupt
    of_folds = [load_predictions(run.folder / "predictions" / "test.csv") for run in runs]
    predictions = _in_order(join_predictions(of_folds), dataset)
    save_predictions(predictions, folder / "predictions.csv")
    result = CrossValidation(folder, tuple(runs), compute_metrics(predictions, "all"), _spread(runs))
    _save_summary(result)
    return result


def _in_order(predictions: Predictions, dataset: Dataset) -> Predictions:
    """The predictions in the order of the dataset."""
    place = {sample.path: index for index, sample in enumerate(dataset.samples)}
    return predictions.take(np.argsort([place[path] for path in predictions.paths]))


def _spread(runs: Sequence[Run]) -> dict[str, Spread]:
    values = {name: np.array([getattr(run.metrics, name) for run in runs]) for name in FIGURES}
    return {name: Spread(float(of.mean()), float(of.std(ddof=1))) for name, of in values.items()}


def _save_summary(result: CrossValidation) -> None:
    values = {
        "folds": len(result.runs),
        "spread": {name: {"mean": of.mean, "deviation": of.deviation} for name, of in result.spread.items()},
        "by_fold": [
            {"run": run.folder.name, **{name: getattr(run.metrics, name) for name in FIGURES}} for run in result.runs
        ],
        "all": result.metrics.to_dict(),
    }
    with atomic_write(result.folder / "summary.json") as file:
        json.dump(values, file, indent=2)
        file.write("\n")
