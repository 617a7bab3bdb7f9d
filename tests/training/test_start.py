"""The head's start is the probe itself, and a run may be nothing more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import frostline
from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.splits import make_splits
from frostline.errors import ConfigError
from frostline.model.network_classifier import NetworkClassifier
from frostline.results.history import EpochRecord
from frostline.results.predictions import load_predictions
from frostline.results.run_folder import RunFolder
from frostline.training.distributed import ALONE
from frostline.training.fit import measure
from frostline.training.run import resume, train
from frostline.training.setup import build_model, load_configured_backbone, make_batches
from frostline.training.start import start_head

pytestmark = pytest.mark.usefixtures("without_drawing")

MakeConfig = Callable[..., TrainConfig]

PROBE: dict[str, object] = {"head_width": 0, "head_start": "probe"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    folder = tmp_path_factory.mktemp("start") / "photos"
    return frostline.load_dataset(write_pictures(folder, {"apple": 20, "leaf": 20, "sky": 20}))


@pytest.mark.parametrize("trainable", [0, 6])
def test_the_tail_gives_the_figures_of_the_start(trainable: int, dataset: Dataset, tiny_config: MakeConfig) -> None:
    config = tiny_config(trainable_layers=trainable, **PROBE)
    backbone, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, backbone, config)
    pixels, _ = read_pixels(dataset, size=backbone.size, resize_mode="crop")
    batches = make_batches(model, dataset, pixels, make_splits(dataset, seed=0), config)
    torch.manual_seed(3)
    record = start_head(model, batches, None).record
    loss, accuracy = measure(model.tail, batches.val(), lambda count, note="": None, ALONE)
    assert (record.epoch, record.learning_rate) == (0, 0.0)
    assert record.val_loss == pytest.approx(loss, abs=1e-4)
    assert record.val_accuracy == accuracy
    assert record.train_accuracy > 0.5, "three colours are told apart by random features, too"


@pytest.mark.parametrize("trainable", [0, 6, "all"])
def test_a_run_may_be_the_probe_alone(
    trainable: object, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    run = train(dataset, tiny_config(trainable_layers=trainable, epochs=0, runs_dir=tmp_path / "runs", **PROBE))
    assert [record.epoch for record in run.history] == [0]
    assert run.figures.best_epoch == 0
    assert run.metrics.accuracy > 0.5
    assert run.figures.val.accuracy == run.history[0].val_accuracy
    log = RunFolder(run.folder).log.read_text(encoding="utf-8")
    assert "linear probe  loss " in log


def test_the_recipe_quick_saves_a_classifier_of_all_depths(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    run = train(
        dataset,
        TrainConfig.make(
            recipe="quick",
            backbone="test_efficientnet",
            weights="none",
            size=64,
            device="cpu",
            runs_dir=tmp_path / "runs",
        ),
    )
    loaded = NetworkClassifier.load(run.folder)
    assert loaded.architecture.features == "depths"
    expected = load_predictions(run.folder / "predictions" / "test.csv")
    found = loaded.predict([Path(dataset.source) / path for path in expected.paths])
    np.testing.assert_array_equal([prediction.probabilities for prediction in found], expected.probabilities)
    assert run.metrics.accuracy > 0.5


def test_fine_tuning_goes_on_from_the_probe(dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path) -> None:
    options = {"trainable_layers": 6, "label_smoothing": 0, "runs_dir": tmp_path / "runs", **PROBE}
    tuned = train(dataset, tiny_config(epochs=2, **options))
    assert [record.epoch for record in tuned.history] == [0, 1, 2]
    assert tuned.history[1].train_loss < 1.0, "a random head begins near log 3"


def test_a_run_that_was_stopped_goes_on_from_its_own_start(
    dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = tiny_config(epochs=3, trainable_layers=6, runs_dir=tmp_path / "runs", **PROBE)
    whole = train(dataset, config)

    for epoch in (0, 1):

        def stop_after(record: EpochRecord, epoch: int = epoch) -> None:
            if record.epoch == epoch:
                raise SystemExit

        with pytest.raises(SystemExit):
            train(dataset, config, on_epoch=stop_after)
        folder = max((tmp_path / "runs").iterdir(), key=lambda path: path.name)
        again = resume(folder)
        first, second = (run.folder / "classifier" / "model.safetensors" for run in (whole, again))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_start": "probe"}, "--head-width 0"),
        ({"epochs": 0}, "nothing is trained"),
        ({"epochs": 0, "head_width": 0, "head_start": "random"}, "nothing is trained"),
    ],
)
def test_options_that_leave_no_start_are_refused(
    options: dict[str, object], message: str, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(dataset, tiny_config(runs_dir=tmp_path / "runs", **options))
    assert not (tmp_path / "runs").exists()
