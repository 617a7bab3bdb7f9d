"""Progressive resizing: which epochs see which size, and that they see what a training at that size would."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import frostline
from frostline.config import TrainConfig
from frostline.data.arrays import array_dataset
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.splits import make_splits
from frostline.errors import ConfigError
from frostline.training.batches import ActivationBatches
from frostline.training.growing import GrowingBatches, epoch_sizes, full_size_epochs, growing, require_growth
from frostline.training.setup import Model, build_model, keep_activations, load_configured_backbone, make_batches

MakeConfig = Callable[..., TrainConfig]

COUNT = 40


@pytest.fixture(scope="module")
def noise() -> Dataset:
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, 20, 20, 3), dtype=np.uint8)
    return array_dataset("noise", "noise", {"all": (pictures, np.arange(COUNT) % 2)}, ["a", "b"], None)


def build(dataset: Dataset, config: TrainConfig) -> tuple[Model, ActivationBatches]:
    backbone, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, backbone, config)
    pixels, _ = read_pixels(dataset, size=backbone.size, resize_mode="crop")
    return model, make_batches(model, dataset, pixels, make_splits(dataset, seed=0), config)


@pytest.mark.parametrize(
    ("start", "size", "epochs", "expected"),
    [
        (96, 128, 5, [96, 112, 112, 128, 128]),
        (64, 128, 10, [64, 80, 80, 96, 112, 112, 128, 128, 128, 128]),
        (None, 128, 3, [128, 128, 128]),
        (40, 64, 1, [64]),
        (40, 64, 3, [40, 56, 64]),
        (100, 104, 3, [100, 100, 104]),
        (64, 128, 0, []),
    ],
)
def test_sizes_grow_evenly_to_the_full_one(
    tiny_config: MakeConfig, start: int | None, size: int, epochs: int, expected: list[int]
) -> None:
    config = tiny_config(start_size=start, size=size)
    assert epoch_sizes(config, epochs) == expected
    full = full_size_epochs(config, epochs)
    assert [expected[epoch] for epoch in full] == [size] * len(full)
    assert full.stop == epochs


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("trainable", [6, "all"])
def test_an_epoch_is_that_of_a_training_at_its_size(
    noise: Dataset, tiny_config: MakeConfig, trainable: int | str, cached: bool
) -> None:
    options = {"augment": "light", "views": 2, "trainable_layers": trainable, "weights": "none", "cache": cached}
    config = tiny_config(size=64, start_size=32, **options)
    model, batches = build(noise, config)
    kept = keep_activations(model, batches, config, full_size_epochs(config, 5), probe=False)
    found = growing(model, kept, config, 5)
    assert isinstance(found, GrowingBatches)
    assert {view for each in found.of_epochs for view in each.activations.kept} == (
        {0, 1} if cached and trainable == 6 else set()
    )
    for epoch, size in enumerate([32, 48, 48, 64, 64]):
        _, expected = build(noise, tiny_config(size=size, **options))
        for ours, theirs in zip(found.train(epoch), expected.train(epoch), strict=True):
            assert torch.equal(ours.activations, theirs.activations)
            assert torch.equal(ours.targets, theirs.targets)
    for ours, theirs in zip(found.val(), batches.val(), strict=True):
        assert torch.equal(ours.activations, theirs.activations)


def test_without_a_start_size_nothing_grows(noise: Dataset, tiny_config: MakeConfig) -> None:
    model, batches = build(noise, tiny_config(size=64))
    assert growing(model, batches, tiny_config(size=64), 3) is batches


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"start_size": 64}, "start_size 64 is not below size 64"),
        ({"start_size": 32, "trunk_precision": "int8"}, "do not go together"),
        ({"start_size": 32, "backbone": "vit_small_patch16_224"}, "sees pictures of 64 px only"),
    ],
)
def test_what_cannot_grow_is_refused(tiny_config: MakeConfig, options: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        require_growth(tiny_config(**{"size": 64, **options}))


def test_a_run_grows_and_answers_at_full_size(photos: Path, tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(start_size=32, size=64, epochs=3, trainable_layers="all", runs_dir=tmp_path)
    run = frostline.train(frostline.load_dataset(photos), config)
    assert len([record for record in run.history if record.epoch]) == 3
    assert frostline.ImageClassifier.load(run.folder).preprocessing.size == 64
