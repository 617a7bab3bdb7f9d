"""From options to a training: what is frozen stays frozen, and every kind of training can be set up."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.sources import load_dataset
from frostline.data.splits import Splits, make_splits
from frostline.errors import ConfigError
from frostline.model.frost_line import BatchNormMode, TrainableLayers
from frostline.training.augment import PRESETS
from frostline.training.checkpoints import Checkpoints
from frostline.training.devices import choose_device, choose_precision
from frostline.training.fit import Fitted, fit
from frostline.training.setup import (
    Model,
    balanced_weights,
    build_model,
    choose_augmentation,
    describe_balance,
    load_configured_backbone,
    make_batches,
    make_stage,
)

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, write_pictures: Callable[..., Path]) -> Dataset:
    folder = tmp_path_factory.mktemp("setup") / "photos"
    return load_dataset(write_pictures(folder, {"apple": 12, "leaf": 8, "sky": 8}))


def build(dataset: Dataset, config: TrainConfig) -> Model:
    backbone, config = load_configured_backbone(dataset, config)
    return build_model(dataset, backbone, config)


def train_tail(model: Model, dataset: Dataset, config: TrainConfig, folder: Path) -> Fitted:
    pixels, _ = read_pixels(dataset, size=model.classifier.preprocessing.size, resize_mode=config.resize_mode)
    splits = make_splits(dataset, seed=config.seed)
    batches = make_batches(model, dataset, pixels, splits, config)
    stage = make_stage(model, dataset.targets[splits.train], config)
    return fit(model.tail, batches, stage, Checkpoints(folder), lambda record: None)


def state(model: Model) -> dict[str, Tensor]:
    """Parameters and statistics of backbone and head."""
    return {name: value.clone() for name, value in model.classifier.network.state_dict().items()}


def is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


@pytest.mark.parametrize(
    ("trainable", "batch_norm"), [(0, "adapt"), (1, "adapt"), (20, "adapt"), (20, "freeze"), ("all", "adapt")]
)
def test_what_is_frozen_is_bit_identical_after_training_and_all_else_has_changed(
    trainable: TrainableLayers, batch_norm: BatchNormMode, dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = tiny_config(trainable_layers=trainable, batch_norm=batch_norm, learning_rate=0.02, weight_decay=0.1)
    model = build(dataset, config)
    before = state(model)
    train_tail(model, dataset, config, tmp_path / "checkpoint")
    layers = [layer for layer in model.frozen.layers if layer.operation != "activation"]
    frozen = {
        f"backbone.{layer.name}."
        for layer in layers
        if layer.index < model.frozen.first_trainable or (batch_norm == "freeze" and layer.operation == "normalisation")
    }
    for name, value in state(model).items():
        if name.startswith(tuple(frozen)):
            assert torch.equal(value, before[name]), f"{name} is frozen and has changed"
        else:
            assert not torch.equal(value, before[name]), f"{name} trains and has not changed"
    held = [name for name in before if name.startswith(tuple(frozen))]
    assert bool(held) == (trainable != "all")


def test_trunk_and_tail_are_the_classifier_that_is_saved(dataset: Dataset, tiny_config: MakeConfig) -> None:
    model = build(dataset, tiny_config())
    pixels = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.tail.eval()(model.engine(pixels))
    torch.testing.assert_close(logits, model.classifier.logits(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "schedule": "constant", "class_weights": "balanced"},
        {"optimizer": "adamw", "schedule": "cosine", "mixup": 0.4, "layer_decay": 0.7},
        {"optimizer": "sgd", "schedule": "one-cycle", "cutmix": 1.0, "label_smoothing": 0.1},
        {"optimizer": "sgd", "schedule": "plateau", "momentum": 0.0, "mixup": 0.4, "cutmix": 1.0},
        {"precision": "bfloat16", "augment": "strong", "clip_norm": 1.0},
        {"head_width": 0, "resize_mode": "stretch", "augment": "none", "head_lr_multiplier": 10},
        {"mixup": 0.4, "class_weights": "balanced", "label_smoothing": 0.1, "head_activation": "gelu"},
        {"trainable_layers": "all", "batch_norm": "freeze", "precision": "bfloat16"},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_every_kind_of_training_runs(
    options: dict[str, object], dataset: Dataset, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    config = tiny_config(epochs=1, **options)
    model = build(dataset, config)
    before = state(model)
    (record,) = train_tail(model, dataset, config, tmp_path / "checkpoint").history
    assert math.isfinite(record.train_loss)
    after = state(model)
    assert all(value.isfinite().all() for value in after.values())
    assert all(value.dtype == torch.float32 for name, value in after.items() if not is_counter(name))
    assert not torch.equal(after["head.1.weight"], before["head.1.weight"])


def test_random_weights_follow_from_the_seed(dataset: Dataset, tiny_config: MakeConfig) -> None:
    first, second, other = (state(build(dataset, tiny_config(seed=seed))) for seed in (1, 1, 2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["backbone.conv_stem.weight"], other["backbone.conv_stem.weight"])
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])


def test_single_amounts_change_the_preset(tiny_config: MakeConfig) -> None:
    assert choose_augmentation(tiny_config(augment="medium")) == PRESETS["medium"]
    chosen = choose_augmentation(tiny_config(augment="medium", rotation=0, horizontal_flip=False, mixup=0.2))
    assert chosen == replace(PRESETS["medium"], rotation=0, horizontal_flip=False, mixup=0.2)


def test_balanced_weights_are_inverse_to_frequency_and_one_on_average() -> None:
    targets = np.array([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(targets, 3)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights * torch.tensor([6.0, 3.0, 1.0]), torch.full((3,), 10 / 3))
    assert weights[targets].mean().item() == pytest.approx(1)


def test_more_layers_than_the_backbone_has_is_an_option_error(dataset: Dataset, tiny_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="at most 43"):
        build(dataset, tiny_config(trainable_layers=44))


def test_devices_and_precisions() -> None:
    cpu = choose_device("cpu")
    assert cpu.type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_precision("auto", cpu) == torch.float32
    assert choose_precision("bfloat16", cpu) == torch.bfloat16
    with pytest.raises(ConfigError, match="float16 cannot be trained on a CPU"):
        choose_precision("float16", cpu)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_option_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"device {name} is not available"):
        choose_device(name)


def test_what_is_done_about_lopsided_classes_is_said(
    tmp_path: Path, write_pictures: Callable[..., Path], tiny_config: Callable[..., TrainConfig]
) -> None:
    dataset = load_dataset(write_pictures(tmp_path / "p", {"apple": 30, "sky": 10}))
    everything = np.arange(40)
    splits = Splits(everything, everything[:0], everything[:0])
    config = tiny_config(class_weights="balanced", sampling="balanced")
    assert list(describe_balance(dataset, splits, config)) == [
        "class weights: apple 0.667, sky 2",
        "balanced sampling; times that an epoch sees each picture: apple 0.667, sky 2",
    ]
    assert list(describe_balance(dataset, splits, tiny_config())) == []
