"""What is on the device has the values of what is not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.arrays import array_dataset
from frostline.data.folders import load_folder
from frostline.data.pixels import Batch as PixelBatch
from frostline.data.pixels import Indices, read_pixels
from frostline.errors import FrostlineError
from frostline.model.engines import TorchEngine
from frostline.model.preprocessing import Preprocessing
from frostline.training import activations as activations_module
from frostline.training.activations import Activations, FiniteCheck
from frostline.training.augment import PRESETS, Augmentation, Augmenter
from frostline.training.batches import ActivationBatches
from frostline.training.cache import ActivationCache
from frostline.training.distributed import Ranks
from frostline.training.residence import CachedRows, ResidentRows, bring_pictures, free_memory, read_ahead

SIZE = 16
CPU = torch.device("cpu")


def make_batches(
    count: int = 40, augmentation: Augmentation = PRESETS["strong"], views: int | None = None
) -> ActivationBatches:
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    dataset = array_dataset("noise", "noise", {"all": (pictures, np.arange(count) % 3)}, ["a", "b", "c"], None)
    pixels, _ = read_pixels(dataset, size=SIZE, resize_mode="crop")
    indices: NDArray[np.int64] = np.arange(count)
    preprocessing = Preprocessing(SIZE, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    engine = TorchEngine(nn.AvgPool2d(4))
    augmenter = Augmenter(preprocessing, augmentation, seed=0)
    activations = Activations(pixels, augmenter, engine, "pool", torch.float16, CPU, "noise")
    train, val = indices[indices % 5 != 0], indices[indices % 5 == 0]
    return ActivationBatches(activations, dataset.targets, train, val, 3, 6, 0, False, views)


def all_of(batches: ActivationBatches) -> Iterator[Tensor]:
    for epoch in range(3):
        for batch in batches.train(epoch):
            yield from (batch.activations, batch.targets, batch.all_targets)
            if batch.soft_targets is not None:
                yield batch.soft_targets
    for batch in batches.val():
        yield from (batch.activations, batch.targets)


def assert_same(first: ActivationBatches, second: ActivationBatches) -> None:
    for one, other in zip(all_of(first), all_of(second), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the CPU were a device with memory of its own."""
    monkeypatch.setattr(activations_module, "free_memory", lambda device: 10**9)


@pytest.mark.parametrize("augmentation", [PRESETS["strong"], Augmentation(mixup=0.4, cutmix=1.0)])
@pytest.mark.parametrize("ranks", [Ranks(), Ranks(1, 2)])
@pytest.mark.usefixtures("room")
def test_pictures_on_the_device_give_the_same_batches(augmentation: Augmentation, ranks: Ranks) -> None:
    batches = replace(make_batches(augmentation=augmentation), ranks=ranks)
    settled = batches.on_device()
    assert settled.activations.resident is not None
    assert len(settled.activations.resident.indices) == 40 // ranks.count
    assert_same(batches, settled)
    assert settled.on_device() is settled


@pytest.mark.usefixtures("room")
def test_pictures_on_the_device_are_not_read_again() -> None:
    settled = make_batches().on_device()

    class Broken:
        def read(self, indices: Indices) -> PixelBatch:
            raise AssertionError("they are read")

        def digests(self, indices: Indices) -> list[bytes]:
            raise AssertionError("they are read")

    there = replace(settled, activations=replace(settled.activations, pixels=Broken()))
    assert_same(settled, there)


def test_pictures_of_different_sides_come_whole(photos: Path) -> None:
    dataset = load_folder(photos)
    pixels, _ = read_pixels(dataset, size=1000, resize_mode="crop")
    indices = np.arange(0, len(dataset), 2)
    brought = bring_pictures(pixels, indices, CPU)
    wanted = indices[[7, 0, 7, 29]]
    pictures, sides = pixels.read(wanted)
    loaded = brought.load(wanted)
    assert loaded is not None
    assert loaded[1].tolist() == sides.tolist()
    for whole, picture, side in zip(loaded[0].numpy(), pictures, sides, strict=True):
        assert np.array_equal(whole[:side, :side], picture[:side, :side])
    assert brought.load(np.array([0, 1])) is None


@pytest.mark.usefixtures("room")
def test_kept_activations_on_the_device_give_the_same_batches(tmp_path: Path) -> None:
    batches = make_batches(views=2)
    kept = replace(
        batches, activations=batches.activations.keep(batches.wanted(3), ActivationCache(tmp_path, limit=10**9))
    )
    assert {type(view.rows) for view in kept.activations.kept.values()} == {ResidentRows}
    assert kept.on_device().activations.resident is None
    assert_same(batches, kept)


def test_without_room_nothing_is_brought_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory(CPU) == 0
    monkeypatch.setattr(activations_module, "free_memory", lambda device: 1000)
    batches = make_batches(views=2)
    assert batches.on_device().activations.resident is None
    kept = batches.activations.keep(batches.wanted(3), ActivationCache(tmp_path, limit=10**9))
    assert {type(view.rows) for view in kept.kept.values()} == {CachedRows}


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_reading_ahead_gives_all_in_order(count: int) -> None:
    assert list(read_ahead(lambda item: 10 * item, range(count))) == [10 * item for item in range(count)]


def test_reading_ahead_raises_an_error_where_its_result_would_come() -> None:
    def read(item: int) -> int:
        if item == 3:
            raise FrostlineError("no third")
        return item

    results = read_ahead(read, range(6))
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(FrostlineError, match="no third"):
        next(results)


def test_reading_ahead_is_never_more_than_two_ahead() -> None:
    taken: list[int] = []
    results = read_ahead(taken.append, range(10))
    next(results)
    del results
    assert len(taken) <= 3


def test_batches_read_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = make_batches()
    expected = list(all_of(batches))
    monkeypatch.setattr(activations_module, "map", read_ahead, raising=False)
    for one, other in zip(all_of(batches), expected, strict=True):
        assert torch.equal(one, other)


def test_activations_that_do_not_fit_are_found_when_the_device_is_asked() -> None:
    check = FiniteCheck()
    with pytest.raises(FrostlineError, match="does not fit into float16: give --activation-precision float32"):
        check.add(torch.tensor([1.0, torch.inf], dtype=torch.float16))
    check.add(torch.ones(3))
    check._all_finite = torch.tensor(False)  # as a device would have it, which nobody has asked yet
    with pytest.raises(FrostlineError, match="does not fit into float32"):
        check.look(torch.float32)
    check.look(torch.float32)
