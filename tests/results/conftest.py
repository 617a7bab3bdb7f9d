"""A real browser, for the tests of pages; figures of a run that never was."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline.config import TrainConfig
from frostline.data.dataset import SplitName
from frostline.results.calibration import Scaling, measure_answered, measure_calibration
from frostline.results.figures import Accuracy, RunFigures, SplitTrust, TrustFigures
from frostline.results.history import EpochRecord, save_history
from frostline.results.metrics import compute_metrics
from frostline.results.predictions import Predictions, save_predictions
from frostline.results.record import save_layers
from frostline.results.run_folder import RunFolder
from frostline.results.thumbnails import encode_thumbnail, save_thumbnails


def draw_predictions(class_names: tuple[str, ...], pictures: int = 60, seed: int = 0) -> Predictions:
    """Random predictions, about two in three of them right; each class has pictures."""
    random = np.random.default_rng(seed)
    targets = np.arange(pictures) % len(class_names)
    probabilities = random.dirichlet(np.ones(len(class_names)), pictures)
    probabilities[np.arange(pictures), targets] += 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    paths = tuple(f"photos/{index}.jpg" for index in range(pictures))
    distances = random.random(pictures, dtype=np.float32)
    return Predictions(paths, targets, probabilities.astype(np.float32), class_names, distances)


@pytest.fixture(scope="session", name="draw_predictions")
def draw_predictions_fixture() -> Callable[..., Predictions]:
    """`draw_predictions`, for tests that want predictions of their own."""
    return draw_predictions


@pytest.fixture(scope="session")
def make_figures() -> Callable[..., RunFigures]:
    """Figures of validation predictions and, where they are given, of test predictions; options change any field."""

    def make(val: Predictions, test: Predictions | None = None, **changes: Any) -> RunFigures:
        found: dict[SplitName, Predictions] = {"val": val} if test is None else {"val": val, "test": test}
        calibrated = {name: measure_calibration(each) for name, each in found.items()}
        splits = {
            name: SplitTrust(calibrated[name], calibrated[name], measure_answered(each, 0.6), far=0.015)
            for name, each in found.items()
        }
        values: dict[str, Any] = {
            "figures_of": "val" if test is None else "test",
            "val": compute_metrics(val, "val"),
            "test": None if test is None else compute_metrics(test, "test"),
            "class_names": val.class_names,
            "train_counts": tuple(100 + index for index in range(len(val.class_names))),
            "majority": Accuracy(0.25, 0.2, 0.3),
            "probe": Accuracy(0.375, 0.3, 0.45),
            "flip_tta": None,
            "trust": TrustFigures(Scaling(1.25, 0.5, 2.0), 0.6, 0.1875, splits),
            "best_epoch": 2,
            "epochs": 3,
            "interrupted": False,
            "layers": 147,
            "trained_layers": 20,
            "trainable_parameters": {"backbone": 1_206_080, "head": 12_810},
            "seconds": {"prepare": 1.5, "fit": 60.25},
            "planned_seconds": None,
            "int8_trunk": None,
        }
        return RunFigures(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def write_run(
    draw_predictions: Callable[..., Predictions], make_figures: Callable[..., RunFigures]
) -> Callable[..., Path]:
    """Write the folder of a run that has these predictions of its test split; options go to its configuration."""

    def write(path: Path, test: Predictions, *, train: Sequence[str] = (), **options: Any) -> Path:
        val = draw_predictions(test.class_names, pictures=40, seed=len(path.name))
        run = RunFolder(path)
        run.predictions.mkdir(parents=True)
        TrainConfig.make(source="photos", **options).save(run.config)
        run.write_json(run.environment, {"dataset": {"name": "photos"}, "started": "2026-11-23T10:20:30+00:00"})
        history = [EpochRecord(epoch, 0.5, 0.8, 0.6 / epoch, 0.7 + epoch / 50, 1e-3, 9.0, 99.0) for epoch in (1, 2)]
        save_history(history, run.history)
        make_figures(val, test).save(run.metrics)
        save_predictions(val, run.predictions / "val.csv")
        save_predictions(test, run.predictions / "test.csv")
        save_predictions(test, run.probe_predictions)
        save_layers([], run.layers)
        jpeg = encode_thumbnail(np.zeros((8, 8, 3), dtype=np.uint8))
        save_thumbnails([(str(row), jpeg) for row in range(0, len(test), 2)], run.pictures)
        split_of = dict.fromkeys(val.paths, "val") | dict.fromkeys(test.paths, "test") | dict.fromkeys(train, "train")
        lines = ["path,label,split", *(f"{name},any,{split}" for name, split in split_of.items())]
        run.splits.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
