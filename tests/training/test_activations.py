"""Activations are the same bit for bit, computed or kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.arrays import array_dataset
from frostline.data.pixels import digest_of, read_pixels
from frostline.data.splits import make_splits
from frostline.errors import FrostlineError
from frostline.training.activations import Activations
from frostline.training.batches import ActivationBatches
from frostline.training.cache import ActivationCache
from frostline.training.setup import build_model, load_configured_backbone, make_batches

MakeConfig = Callable[..., TrainConfig]
MakeBatches = Callable[..., ActivationBatches]

COUNT = 40


def pictures(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (COUNT, 20, 20, 3), dtype=np.uint8)


@pytest.fixture
def make(tiny_config: MakeConfig) -> MakeBatches:
    """Batches of pictures through a real trunk, for any options."""

    def build(pixels: NDArray[np.uint8] | None = None, **options: object) -> ActivationBatches:
        config = tiny_config(augment="strong", **options)
        given = pictures() if pixels is None else pixels
        dataset = array_dataset("noise", "noise", {"all": (given, np.arange(COUNT) % 2)}, ["a", "b"], None)
        backbone, config = load_configured_backbone(dataset, config)
        model = build_model(dataset, backbone, config)
        kept, _ = read_pixels(dataset, size=backbone.size, resize_mode="crop")
        return make_batches(model, dataset, kept, make_splits(dataset, seed=0), config)

    return build


@pytest.fixture
def cache(tmp_path: Path) -> ActivationCache:
    return ActivationCache(tmp_path / "activations", limit=10**9)


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("trainable", [0, 6, 20])
def test_batches_are_the_same_bit_for_bit_kept_or_computed(
    make: MakeBatches, cache: ActivationCache, precision: str, trainable: int
) -> None:
    computed = make(views=3, activation_precision=precision, trainable_layers=trainable)
    kept = replace(computed, activations=computed.activations.keep(computed.wanted(5), cache))
    assert sorted(kept.activations.kept) == [0, 1, 2]
    assert len(cache.entries()) == 3
    for epoch in range(5):
        for first, second in zip(computed.train(epoch), kept.train(epoch), strict=True):
            assert torch.equal(first.activations, second.activations)
            assert torch.equal(first.targets, second.targets)
    for first, second in zip(computed.val(), kept.val(), strict=True):
        assert torch.equal(first.activations, second.activations)


def test_what_is_kept_is_read_and_not_computed(make: MakeBatches, cache: ActivationCache) -> None:
    batches = make(views=2)
    kept = batches.activations.keep(batches.wanted(4), cache)

    class Broken:
        name, version = kept.engine.name, kept.engine.version

        def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
            raise AssertionError("it is computed")

    reading = replace(batches, activations=replace(kept, engine=Broken()))
    for epoch in range(4):
        list(reading.train(epoch))
    list(reading.val())
    with pytest.raises(AssertionError, match="it is computed"):
        reading.activations.read(reading.train_indices, 2)


def test_with_fresh_views_only_validation_is_kept(make: MakeBatches, cache: ActivationCache) -> None:
    batches = make(views="fresh")
    kept = replace(batches, activations=batches.activations.keep(batches.wanted(4), cache))
    assert [view.indices.tolist() for view in kept.activations.kept.values()] == [sorted(batches.val_indices)]
    for epoch in (0, 3):
        for first, second in zip(batches.train(epoch), kept.train(epoch), strict=True):
            assert torch.equal(first.activations, second.activations)


def keys(activations: Activations, batches: ActivationBatches) -> list[str]:
    """Of the plain view and of view 1."""
    wanted = batches.wanted(2).items()
    pixels = activations.pixels
    return [activations._entry(view, some, (1,), digest_of(pixels, some)).key for view, some in wanted]


def test_a_key_is_the_same_for_the_same_work(make: MakeBatches) -> None:
    first, second = make(), make(epochs=7, learning_rate=0.5, head_width=0, batch_size=5)
    assert keys(first.activations, first) == keys(second.activations, second)


@pytest.mark.parametrize(
    "options",
    [
        {"pixels": np.where(np.arange(COUNT)[:, None, None, None] == 7, 255 - pictures(), pictures())},
        {"size": 96},
        {"trainable_layers": 20},
        {"activation_precision": "float32"},
        {"backbone": "test_resnet"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_key_is_another_for_other_pictures_trunk_size_or_precision(
    make: MakeBatches, options: dict[str, object]
) -> None:
    first, second = make(), make(**options)
    assert not set(keys(first.activations, first)) & set(keys(second.activations, second))


def test_a_key_of_a_random_view_is_another_for_other_amounts(make: MakeBatches) -> None:
    first, second = make(), make(rotation=3)
    assert keys(first.activations, first)[0] == keys(second.activations, second)[0]
    assert keys(first.activations, first)[1] != keys(second.activations, second)[1]


def test_a_key_is_another_for_other_weights(make: MakeBatches) -> None:
    first, second = make(seed=0), make(seed=1)  # random weights
    assert first.activations.trunk_digest != second.activations.trunk_digest
    assert not set(keys(first.activations, first)) & set(keys(second.activations, second))


def test_where_there_is_no_room_that_is_said_and_nothing_else_changes(
    make: MakeBatches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = make(views=2)
    small = ActivationCache(tmp_path / "activations", limit=1000)
    assert batches.activations.keep(batches.wanted(4), small) is batches.activations
    assert "activations are computed again in each epoch, instead of kept: they take " in capsys.readouterr().err
    assert small.entries() == []


def test_activations_beyond_float16_stop_the_run(make: MakeBatches) -> None:
    batches = make()

    class Huge:
        name, version = "torch", "0"

        def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.full((len(inputs), 3), 1e6)

    with pytest.raises(FrostlineError, match="does not fit into float16: give --activation-precision float32"):
        replace(batches.activations, engine=Huge()).read(batches.val_indices, 0)
