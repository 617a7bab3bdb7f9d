"""Cross-validation: every picture is predicted by a run that has not seen it, and the figures follow from that."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from frostline.config import TrainConfig
from frostline.data.sources import load_dataset
from frostline.data.splits import load_splits
from frostline.errors import ConfigError
from frostline.results.predictions import load_predictions
from frostline.training.folds import cross_validate
from frostline.training.run import train

MakeConfig = Callable[..., TrainConfig]


def test_folds_predict_every_picture_once(photos: Path, tiny_config: MakeConfig, tmp_path: Path) -> None:
    dataset = load_dataset(photos)
    result = cross_validate(dataset, tiny_config(folds=3, epochs=1, runs_dir=tmp_path))
    predictions = load_predictions(result.folder / "predictions.csv")
    assert predictions.paths == tuple(sample.path for sample in dataset.samples)
    for run in result.runs:
        tested = load_splits(run.folder / "splits.csv", dataset).test
        own = load_predictions(run.folder / "predictions" / "test.csv")
        assert np.array_equal(own.probabilities, predictions.probabilities[tested])
    accuracies = [run.metrics.accuracy for run in result.runs]
    assert result.spread["accuracy"].mean == pytest.approx(np.mean(accuracies))
    assert result.spread["accuracy"].deviation == pytest.approx(np.std(accuracies, ddof=1))
    assert result.metrics.pictures == 60
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    assert [fold["accuracy"] for fold in summary["by_fold"]] == accuracies


def test_the_command_prints_mean_and_deviation(
    photos: Path, tmp_path: Path, cli: Callable[..., CompletedProcess[str]]
) -> None:
    tiny = ("--backbone", "test_efficientnet", "--weights", "none", "--size", 64, "--epochs", 1, "--device", "cpu")
    done = cli("train", photos, *tiny, "--folds", 2, "--runs-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout
    assert "(2 folds)" in done.stdout


def test_folds_and_splits_do_not_go_together(photos: Path, tiny_config: MakeConfig, tmp_path: Path) -> None:
    dataset = load_dataset(photos)
    with pytest.raises(ConfigError, match="leave out --splits"):
        cross_validate(dataset, tiny_config(folds=2, splits=tmp_path / "splits.csv"))
    with pytest.raises(ConfigError, match="cross_validate"):
        train(dataset, tiny_config(folds=2, runs_dir=tmp_path))
    with pytest.raises(ConfigError, match="--folds"):
        cross_validate(dataset, tiny_config())
