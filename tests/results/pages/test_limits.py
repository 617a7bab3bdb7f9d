"""The limits of a classifier are those that follow from its run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frostline.config import TrainConfig
from frostline.results.figures import Accuracy, RunFigures
from frostline.results.pages.limits import limits_of
from frostline.results.predictions import Predictions
from frostline.results.record import RunRecord
from frostline.results.run_folder import RunFolder
from frostline.results.thumbnails import Thumbnails

NAMES = ("ant", "bee", "cat")
MakeFigures = Callable[..., RunFigures]


def limits(figures: RunFigures, config: TrainConfig | None = None) -> str:
    record = RunRecord(RunFolder(Path("run")), config, {}, (), figures, {}, None, (), None, Thumbnails({}), ())
    return "\n".join(limits_of(record, figures))


@pytest.fixture
def figures(make_figures: MakeFigures, draw_predictions: Callable[..., Predictions]) -> RunFigures:
    return make_figures(draw_predictions(NAMES), draw_predictions(NAMES, 300, seed=1))


def test_what_is_so_of_every_classifier(figures: RunFigures) -> None:
    text = limits(figures)
    assert "knows 3 classes and names one of them or is unsure" in text
    assert "of the dataset that it was trained on" in text
    accuracy = figures.headline
    assert f"{100 * (accuracy.accuracy_high - accuracy.accuracy_low):.1f} percentage points wide" in text
    without = replace(figures, trust=replace(figures.trust, unsure_below=None))
    assert "knows 3 classes and always names one of them" in limits(without)


def test_what_the_network_sees(figures: RunFigures) -> None:
    assert "sees the centre of a picture, at 96 x 96" in limits(figures, TrainConfig.make(size=96))
    assert "sees all of a picture, at 64 x 64" in limits(figures, TrainConfig.make(size=64, resize_mode="stretch"))
    assert "It sees" not in limits(figures, TrainConfig.make())


def test_validation_figures_are_called_too_good(figures: RunFigures) -> None:
    assert "too good" not in limits(figures)
    assert "There were no test pictures" in limits(replace(figures, test=None, figures_of="val"))


def test_an_interrupted_training_is_said(figures: RunFigures) -> None:
    assert "interrupted" not in limits(figures)
    assert "interrupted after 3 epochs; the classifier is that of epoch 2" in limits(replace(figures, interrupted=True))


def test_a_classifier_no_better_than_its_baselines_is_called_so(figures: RunFigures) -> None:
    assert "largest class" not in limits(figures)
    assert "linear probe" not in limits(figures)
    good = Accuracy(0.99, 0.98, 1.0)
    assert "cannot be told from that of always naming the largest class" in limits(replace(figures, majority=good))
    assert "no better than a linear probe" in limits(replace(figures, probe=good))
    assert "linear probe" not in limits(replace(figures, probe=None))


def test_the_classes_to_be_careful_with_are_named(make_figures: MakeFigures) -> None:
    names = ("a|1", "b", "c", "d", "e", "f")
    targets = np.repeat(np.arange(5), 20)
    probabilities = np.eye(6, dtype=np.float32)[targets]
    for target, wrong in ((0, 5), (1, 19), (2, 1), (3, 10)):
        probabilities[target * 20 : target * 20 + wrong] = np.eye(6)[4]
    predictions = Predictions(tuple(map(str, range(100))), targets, probabilities, names, np.zeros(100, np.float32))
    figures = make_figures(predictions, predictions, train_counts=(100, 49, 50, 80, 3, 100))
    text = limits(figures)
    assert "Fewest training pictures: e (3), b (49)." in text
    (lowest,) = [line for line in text.splitlines() if line.startswith("Lowest recall: ")]
    assert [lowest.find(f"{name} (") for name in ("b", "d", "a\\|1")] == sorted(
        lowest.find(f"{name} (") for name in ("b", "d", "a\\|1")
    )
    assert "b (5%, interval 1% to 24%, 20 pictures)" in lowest
    assert "c (" not in lowest
    assert "Nothing was measured for f: no test pictures." in text
    assert "(recall of d, 20 pictures)" in text


def test_classes_of_like_size_and_perfect_recall_are_not_named(make_figures: MakeFigures) -> None:
    predictions = Predictions(("x", "y"), np.array([0, 1]), np.eye(2, dtype=np.float32), ("a", "b"), None)
    text = limits(make_figures(predictions, predictions, train_counts=(10, 6)))
    assert "Fewest" not in text
    assert "Lowest" not in text
