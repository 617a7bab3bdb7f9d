"""What loggers keep is what the history says, each epoch once; what they lack is said before training."""

import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.results.history import EpochRecord
from frostline.results.metrics import Metrics, compute_metrics
from frostline.results.predictions import Predictions
from frostline.results.run_folder import RunFolder
from frostline.training.checkpoints import Checkpoints
from frostline.training.loggers import final_figures, open_loggers, require_loggers

TENSORBOARD = TrainConfig(tensorboard=True)


def record_of(epoch: int) -> EpochRecord:
    return EpochRecord(epoch, 1 / (epoch + 1), 0.5, 1 / (epoch + 2), 0.25 + epoch / 100, 0.001 * epoch, 3.0, 700.0)


def keep(folder: RunFolder, epochs: list[int]) -> None:
    """Leave the checkpoint of a training after so many epochs, and let a second pass, as a new process would.

    TensorBoard reads files in the order of their names: by the second, and within it by a number compared as text.
    """
    time.sleep(1.1)
    tail = nn.Linear(1, 1)
    Checkpoints(folder.checkpoint).save(tail, torch.optim.SGD(tail.parameters()), [record_of(e) for e in epochs])


def steps(folder: RunFolder) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each tag, as TensorBoard shows them."""
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def test_without_the_options_there_is_no_logger_and_no_file(tmp_path: Path) -> None:
    require_loggers(TrainConfig())
    with open_loggers(TrainConfig(), RunFolder(tmp_path)) as loggers:
        assert list(loggers) == []
    assert not any(tmp_path.iterdir())


def test_tensorboard_holds_every_figure_of_every_epoch(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with open_loggers(TENSORBOARD, folder) as (logger,):
        for epoch in range(3):
            logger.epoch(record_of(epoch))
        logger.finish({"best_epoch": 2, "test_accuracy": 0.75, "test_macro_f1": 0.5})
    shown = steps(folder)
    assert set(shown) == {
        *("loss/train", "loss/val", "accuracy/train", "accuracy/val", "learning_rate", "seconds"),
        *("pictures_per_second", "best_epoch", "accuracy/test", "macro_f1/test"),
    }
    assert shown["loss/val"] == [(epoch, float(np.float32(record_of(epoch).val_loss))) for epoch in range(3)]
    assert shown["accuracy/test"] == [(2, 0.75)]


def test_an_epoch_can_be_read_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with open_loggers(TENSORBOARD, folder) as (logger,):
        logger.epoch(record_of(1))
        assert [step for step, _ in steps(folder)["loss/train"]] == [1]


@pytest.mark.parametrize("logged", [[1, 2], [1, 2, 3], [1, 2, 3, 4]], ids=["one less", "all", "one more"])
def test_tensorboard_has_each_epoch_once_after_a_kill(logged: list[int], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with open_loggers(TENSORBOARD, folder) as (logger,):
        for epoch in logged:
            logger.epoch(record_of(epoch))
    keep(folder, [1, 2, 3])
    with open_loggers(TENSORBOARD, folder) as (logger,):
        for epoch in (4, 5):
            logger.epoch(record_of(epoch))
    assert steps(folder)["loss/val"] == [(epoch, float(np.float32(record_of(epoch).val_loss))) for epoch in range(1, 6)]


def test_a_run_that_goes_on_has_its_last_test_figures_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for before, epochs, accuracy in (([], [1, 2], 0.5), ([1, 2], [3], 0.75)):
        if before:
            keep(folder, before)
        with open_loggers(TENSORBOARD, folder) as (logger,):
            for epoch in epochs:
                logger.epoch(record_of(epoch))
            logger.finish({"test_accuracy": accuracy})
    assert steps(folder)["accuracy/test"] == [(3, 0.75)]


def test_final_figures_are_those_of_the_test_pictures() -> None:
    classes = tuple("abcdef")
    probabilities = np.eye(6, dtype=np.float32)
    predictions = Predictions(tuple(classes), np.arange(6), probabilities, classes)
    metrics: Metrics = compute_metrics(predictions, "test")
    figures = final_figures(4, metrics)
    assert figures == {
        "best_epoch": 4,
        "test_loss": metrics.loss,
        **{"test_accuracy": 1.0, "test_top5_accuracy": 1.0, "test_macro_f1": 1.0, "test_balanced_accuracy": 1.0},
    }
    assert "test_top5_accuracy" not in final_figures(4, replace(metrics, top5_accuracy=None))
    assert final_figures(4, None) == {"best_epoch": 4}


@pytest.mark.parametrize(
    ("option", "module", "packages"),
    [
        ("tensorboard", "tensorboard", "the package tensorboard"),
        ("mlflow", "mlflow", "the packages mlflow-skinny, sqlalchemy and alembic"),
        ("mlflow", "sqlalchemy", "the packages mlflow-skinny, sqlalchemy and alembic"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    option: str, module: str, packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> object:
        return None if name == module else find_spec(name)

    monkeypatch.setattr("frostline.training.loggers.find_spec", find)
    with pytest.raises(ConfigError) as caught:
        require_loggers(TrainConfig.model_validate({option: True}))
    assert str(caught.value) == f"{option} comes with {packages}: pip install 'frostline[{option}]'"
    require_loggers(TrainConfig())
