"""A whole training tells its loggers what its own files say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import frostline
from frostline.config import TrainConfig
from frostline.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


def test_a_run_is_in_tensorboard_and_in_mlflow(
    photos: Path, tiny_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = train(frostline.load_dataset(str(photos)), tiny_config(tensorboard=True, mlflow=True, runs_dir=tmp_path))
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    shown = events.Scalars("accuracy/val")
    assert [event.step for event in shown] == [record.epoch for record in run.history]
    assert [event.value for event in shown] == pytest.approx([record.val_accuracy for record in run.history])
    assert events.Scalars("accuracy/test")[0].value == pytest.approx(run.metrics.accuracy)

    from mlflow import MlflowClient

    client = MlflowClient()
    (kept,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert kept.info.status == "FINISHED"
    assert kept.data.metrics["test_accuracy"] == pytest.approx(run.metrics.accuracy)
    losses = client.get_metric_history(kept.info.run_id, "train_loss")
    assert [loss.value for loss in losses] == pytest.approx([record.train_loss for record in run.history])
