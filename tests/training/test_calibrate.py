"""A run leaves a classifier that knows how far to trust itself, learnt on validation pictures alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import frostline
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import load_splits
from frostline.errors import ConfigError, DataError
from frostline.model.network_classifier import NetworkClassifier
from frostline.results.calibration import Scaling, measure_answered, measure_calibration, threshold_for_accuracy
from frostline.results.figures import RunFigures
from frostline.results.predictions import load_predictions
from frostline.training.execution import Run
from frostline.training.outcome import change_threshold
from frostline.training.run import train

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    """Three classes of pictures that are told apart by their colours, more or less."""
    folder = tmp_path_factory.mktemp("calibrate") / "photos"
    return frostline.load_dataset(write_pictures(folder, {"apple": 30, "leaf": 30, "sky": 30}))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tiny_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a threshold."""
    place = tmp_path_factory.mktemp("runs")
    return train(dataset, tiny_config(val_fraction=0.4, target_accuracy=0.9, runs_dir=place))


def test_the_figures_are_those_of_the_saved_predictions(run: Run) -> None:
    trust = run.figures.trust
    assert set(trust.splits) == {"val", "test"}
    for name, found in trust.splits.items():
        predictions = load_predictions(run.folder / "predictions" / f"{name}.csv")
        assert measure_calibration(predictions) == found.after
        assert trust.unsure_below is not None
        assert measure_answered(predictions, trust.unsure_below) == found.answered
        assert predictions.distances is not None
        assert float((predictions.distances > trust.far_beyond).mean()) == found.far
    assert trust.unsure_below == threshold_for_accuracy(load_predictions(run.folder / "predictions" / "val.csv"), 0.9)


def test_the_saved_classifier_answers_as_the_run_measured(run: Run, dataset: Dataset) -> None:
    classifier = NetworkClassifier.load(run.folder)
    trust = run.figures.trust
    assert classifier.trust.scaling == trust.scaling != Scaling()
    splits = load_splits(run.folder / "splits.csv", dataset)
    expected = load_predictions(run.folder / "predictions" / "test.csv")
    found = classifier.predict_dataset(dataset, splits.test)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert expected.distances is not None
    np.testing.assert_array_equal(found.distances, expected.distances)
    answers = classifier.predict([dataset.picture(int(index)) for index in splits.test])
    assert trust.unsure_below is not None
    assert [answer.unsure for answer in answers] == (expected.confidences < trust.unsure_below).tolist()
    assert [answer.far for answer in answers] == (expected.distances > trust.far_beyond).tolist()
    assert all(answer.answer == ("unsure" if answer.unsure else answer.label) for answer in answers)


def test_a_training_picture_is_near_and_noise_is_further(run: Run, dataset: Dataset) -> None:
    classifier = NetworkClassifier.load(run.folder)
    splits = load_splits(run.folder / "splits.csv", dataset)
    near = classifier.predict([dataset.picture(int(index)) for index in splits.train[:8]])
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    far = classifier.predict(list(noise))
    distances = [[answer.distance for answer in answers if answer.distance is not None] for answers in (near, far)]
    assert max(distances[0]) < 1e-3  # features are kept as float16
    assert min(distances[1]) > 10 * max(distances[0])


def test_the_linear_probe_is_the_baseline_whatever_the_head(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    heads: list[dict[str, object]] = [{"head_width": 32}, {"head_width": 0}]
    runs = [train(dataset, tiny_config(epochs=1, runs_dir=tmp_path, **head)) for head in heads]
    probes = [load_predictions(run.folder / "predictions" / "probe.csv") for run in runs]
    np.testing.assert_allclose(probes[0].probabilities, probes[1].probabilities, atol=1e-3)
    for run, probe in zip(runs, probes, strict=True):
        assert run.figures.probe is not None
        assert run.figures.probe.accuracy == float((probe.labels == probe.targets).mean())
        counts = np.bincount(probe.targets)
        assert run.figures.majority.accuracy == counts[int(np.argmax(run.figures.train_counts))] / counts.sum()


def test_a_run_that_is_the_probe_has_no_other_as_its_baseline(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    run = train(dataset, tiny_config(epochs=0, head_width=0, runs_dir=tmp_path))
    assert run.figures.probe is None
    assert not (run.folder / "predictions" / "probe.csv").exists()


def test_a_threshold_can_be_changed_later_and_taken_away(run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    weights = (folder / "classifier" / "model.safetensors").read_bytes()
    figures = change_threshold(folder, TrainConfig(coverage=0.5))
    assert RunFigures.load(folder / "metrics.json") == figures
    answered = figures.trust.splits["val"].answered
    assert answered is not None
    assert 0.5 <= answered.coverage < 0.7
    assert NetworkClassifier.load(folder).trust.unsure_below == figures.trust.unsure_below
    assert TrainConfig.make(file=folder / "config.yaml").coverage == 0.5
    assert TrainConfig.make(file=folder / "config.yaml").target_accuracy is None
    assert f"below confidence {figures.trust.unsure_below:.4f}" in (folder / "report.html").read_text(encoding="utf-8")
    change_threshold(folder, TrainConfig(target_accuracy=0.9))
    for name in ("metrics.json", "classifier/classifier.json"):
        assert json.loads((folder / name).read_text("utf-8")) == json.loads((run.folder / name).read_text("utf-8"))
    assert change_threshold(folder, TrainConfig()).trust.unsure_below is None
    assert (folder / "classifier" / "model.safetensors").read_bytes() == weights


def test_two_thresholds_are_refused_before_training(dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        train(dataset, tiny_config(target_accuracy=0.9, coverage=0.9, runs_dir=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_the_threshold_of_half_a_run_is_left_alone(run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    (folder / "predictions" / "val.csv").unlink()
    before = (folder / "metrics.json").read_bytes()
    with pytest.raises(DataError, match=r"predictions/val\.csv is missing"):
        change_threshold(folder, TrainConfig(coverage=0.5))
    assert (folder / "metrics.json").read_bytes() == before
