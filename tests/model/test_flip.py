"""Flip test-time augmentation: the mean of a picture's answer and of its mirror image's, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import frostline
from frostline.config import TrainConfig
from frostline.data.splits import load_splits
from frostline.model.backbone import load_backbone
from frostline.model.classifier import ImageClassifier
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.trust import Trust
from frostline.results.figures import RunFigures


@pytest.fixture(scope="module")
def classifier() -> NetworkClassifier:
    torch.manual_seed(0)
    architecture = Architecture("test_efficientnet", 0, "relu", 0.0)
    backbone = load_backbone(architecture.backbone, weights="none", size=64)
    network = architecture.add_head(backbone, 3).eval()
    with torch.no_grad():
        network.head.get_parameter("1.weight").mul_(30)
    preprocessing = Preprocessing(64, backbone.mean, backbone.std)
    return NetworkClassifier(architecture, network, preprocessing, ("a", "b", "c"), trust=Trust(unsure_below=0.5))


def test_answers_are_the_mean_of_both(classifier: NetworkClassifier) -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (80, 64, 3), dtype=np.uint8) for seed in range(5)]
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
    averaged = classifier.with_tta("flip")
    plain, other = classifier.probabilities(pictures), classifier.probabilities(mirrored)
    assert np.abs(plain - other).max() > 1e-3, "the classifier can tell them apart"
    np.testing.assert_array_equal(averaged.probabilities(pictures), (plain + other) / 2)
    np.testing.assert_array_equal(averaged.probabilities(mirrored), averaged.probabilities(pictures))
    assert averaged.unsure_below == classifier.unsure_below
    assert classifier.with_tta("none") is classifier


def test_a_run_gives_its_figures_apart(photos: Path, tiny_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny_config(runs_dir=tmp_path, tta="flip", epochs=1)
    dataset = frostline.load_dataset(photos)
    run = frostline.train(dataset, config)
    figures = RunFigures.load(run.folder / "metrics.json")
    assert figures.flip_tta is not None
    assert set(figures.flip_tta) == {"val", "test"}
    averaged = ImageClassifier.load(run.folder).with_tta("flip")
    answers = averaged.predict_dataset(dataset, load_splits(run.folder / "splits.csv", dataset).test)
    assert figures.flip_tta["test"].accuracy == pytest.approx((answers.labels == answers.targets).mean())
    without = frostline.train(dataset, config.model_copy(update={"tta": "none"}))
    assert without.figures.flip_tta is None
    assert without.metrics.to_dict() == run.metrics.to_dict(), "the figures themselves are those without it"
    assert "with flips averaged" in (run.folder / "report.html").read_text(encoding="utf-8")
    assert "with flips averaged" not in (without.folder / "report.html").read_text(encoding="utf-8")
    assert json.loads((run.folder / "metrics.json").read_text())["flip_tta"]["test"]
