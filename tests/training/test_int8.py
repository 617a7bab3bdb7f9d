"""A trunk in int8: its cost is said, its activations are never taken for others, and a run repeats bit for bit."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import digest_of, read_pixels
from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits
from frostline.results.history import EpochRecord
from frostline.results.run_folder import RunFolder
from frostline.training.batches import ActivationBatches
from frostline.training.cache import ActivationCache
from frostline.training.execution import Run
from frostline.training.int8 import Int8Cost, run_trunk_in_int8
from frostline.training.run import resume, train
from frostline.training.setup import Model, build_model, load_configured_backbone, make_batches

pytestmark = pytest.mark.usefixtures("without_drawing")

MakeConfig = Callable[..., TrainConfig]
Built = tuple[Model, ActivationBatches, ActivationBatches, Int8Cost]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    folder = tmp_path_factory.mktemp("int8") / "photos"
    return load_dataset(write_pictures(folder, {"apple": 20, "leaf": 20, "sky": 20}))


def build(dataset: Dataset, config: TrainConfig) -> Built:
    """A model with its batches, behind the trunk in float32 and in int8."""
    backbone, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, backbone, config)
    pixels, _ = read_pixels(dataset, size=backbone.size, resize_mode="crop")
    batches = make_batches(model, dataset, pixels, make_splits(dataset, seed=config.seed), config)
    return model, batches, *run_trunk_in_int8(model, batches)


@pytest.fixture(scope="module")
def built(dataset: Dataset, tiny_config: MakeConfig) -> Built:
    return build(dataset, tiny_config(trunk_precision="int8"))


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tiny_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("runs")
    return train(dataset, tiny_config(trunk_precision="int8", cache=False, runs_dir=runs))


def test_the_tail_sees_other_activations_near_those_of_float32(built: Built) -> None:
    _, batches, quantised, cost = built
    exact, rounded = (each.activations.read(each.val_indices, 0).flatten(1) for each in (batches, quantised))
    errors = (rounded - exact).norm(dim=1) / exact.norm(dim=1)
    assert errors.min() > 0.001
    assert cost.activation_error == pytest.approx(float(errors.median()), rel=1e-5)


def test_the_cost_is_that_of_a_probe_in_float32(built: Built) -> None:
    _, batches, _, cost = built
    assert cost.val_pictures == batches.val_pictures
    assert cost.accuracy > 0.5, "three colours are told apart by random features, too"
    assert cost.float32_accuracy > 0.5
    assert str(Int8Cost(0.8125, 0.815, 2000, 0.0412)) == (
        "trunk in int8: a linear probe fitted behind it reaches 0.812 of 2,000 validation pictures in float32, "
        "one fitted in float32 0.815; its activations are off by 4.1%"
    )


def test_every_class_is_in_the_probe(
    dataset: Dataset, tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frostline.training.int8._COMPARED", 1)
    _, _, _, cost = build(dataset, tiny_config(trunk_precision="int8"))
    assert (cost.val_pictures, cost.accuracy) in [(1, 0.0), (1, 1.0)]


def keys(batches: ActivationBatches) -> set[str]:
    """Where the activations of the first views are kept."""
    activations = batches.activations
    wanted = batches.wanted(2).items()
    return {activations._entry(view, some, (1,), digest_of(activations.pixels, some)).key for view, some in wanted}


def test_what_is_kept_in_one_precision_is_never_read_in_the_other(built: Built, tmp_path: Path) -> None:
    _, batches, quantised, _ = built
    assert not keys(batches) & keys(quantised)
    cache = ActivationCache(tmp_path / "activations", limit=10**9)
    for each in (batches, quantised):
        kept = each.activations.keep(each.wanted(2), cache)
        assert sorted(kept.kept) == [0, 1]
        for view in kept.kept:
            expected = each.activations.read(each.train_indices, view)
            assert torch.equal(kept.read(each.train_indices, view), expected)
    assert len(cache.entries()) == 4


def test_the_key_follows_from_the_calibration(
    built: Built, dataset: Dataset, tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(trunk_precision="int8")
    *_, again, cost = build(dataset, config)
    assert keys(again) == keys(built[2])
    assert cost == built[3]
    monkeypatch.setattr("frostline.training.int8.MOST_EXAMPLES", 8)
    *_, other, _ = build(dataset, config)
    assert not keys(other) & keys(built[2])


def test_the_cost_is_in_the_figures_and_in_the_log(whole: Run) -> None:
    folder = RunFolder(whole.folder)
    cost = Int8Cost(**json.loads(folder.metrics.read_text(encoding="utf-8"))["int8_trunk"])
    assert folder.log.read_text(encoding="utf-8").splitlines().count(str(cost)) == 1
    assert set(asdict(cost)) == {"accuracy", "float32_accuracy", "val_pictures", "activation_error"}


def test_a_resumed_run_ends_with_the_same_weights(
    whole: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    def stop(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    stopped = train(dataset, tiny_config(trunk_precision="int8", runs_dir=tmp_path), on_epoch=stop)
    assert stopped.interrupted
    resumed = resume(stopped.folder)
    weights, expected = (
        (RunFolder(run.folder).classifier / "model.safetensors").read_bytes() for run in (resumed, whole)
    )
    assert weights == expected
    assert [record.val_loss for record in resumed.history] == [record.val_loss for record in whole.history]


def test_only_the_trunk_in_training_is_in_int8(
    whole: Run, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    exact = train(dataset, tiny_config(cache=False, runs_dir=tmp_path))
    assert [record.val_loss for record in exact.history] != [record.val_loss for record in whole.history]
    assert not np.isclose(whole.figures.val.loss, whole.history[whole.figures.best_epoch - 1].val_loss, rtol=1e-5)
    assert np.isclose(exact.figures.val.loss, exact.history[exact.figures.best_epoch - 1].val_loss, rtol=1e-3)
    assert json.loads(RunFolder(exact.folder).metrics.read_text(encoding="utf-8"))["int8_trunk"] is None
