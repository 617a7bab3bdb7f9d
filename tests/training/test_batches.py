"""Epochs that repeat, hold every picture once, and never end in a batch of one."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.arrays import array_dataset
from frostline.data.pixels import read_pixels
from frostline.model.engines import TorchEngine
from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import make_pixels
from frostline.training.activations import Activations
from frostline.training.augment import PRESETS, Augmentation, Augmenter
from frostline.training.batches import ActivationBatches, Batch, batch_bounds

SIZE = 16
CLASSES = 3


def make_batches(
    count: int = 20,
    batch_size: int = 6,
    augmentation: Augmentation = PRESETS["medium"],
    seed: int = 0,
    views: int | None = None,
    balanced: bool = False,
) -> ActivationBatches:
    """Batches of an empty trunk; picture i is noise around the level i / 255, so that it can be told again."""
    rng = np.random.default_rng(1)
    pictures = (np.arange(count)[:, None, None, None] * 8 + rng.integers(0, 7, (count, SIZE, SIZE, 3))).astype(np.uint8)
    targets = np.arange(count) % CLASSES
    dataset = array_dataset("levels", "levels", {"all": (pictures, targets)}, ["a", "b", "c"], None)
    pixels, _ = read_pixels(dataset, size=SIZE, resize_mode="crop")
    indices: NDArray[np.int64] = np.arange(count)
    preprocessing = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    activations = Activations(
        pixels=pixels,
        augmenter=Augmenter(preprocessing, augmentation, seed),
        engine=TorchEngine(nn.Identity()),
        trunk_digest="none",
        precision=torch.float32,
        device=torch.device("cpu"),
        name="levels",
    )
    return ActivationBatches(
        activations=activations,
        targets=dataset.targets,
        train_indices=indices[indices % 5 != 0],
        val_indices=indices[indices % 5 == 0],
        classes=CLASSES,
        batch_size=batch_size,
        seed=seed,
        views=views,
        balanced=balanced,
    )


def pictures_of(batch: Batch) -> list[int]:
    """Which pictures a batch holds, told by their level."""
    levels = batch.activations.mean(dim=(1, 2, 3)) * 255
    return [int(level) // 8 for level in levels]


def same(first: Batch, second: Batch) -> bool:
    softs = (first.soft_targets, second.soft_targets)
    return (
        torch.equal(first.activations, second.activations)
        and torch.equal(first.targets, second.targets)
        and (softs == (None, None) or (all(soft is not None for soft in softs) and torch.equal(*softs)))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("augmentation", [PRESETS["none"], PRESETS["strong"], Augmentation(mixup=0.4, cutmix=1.0)])
def test_an_epoch_is_the_same_whenever_it_is_asked_for(augmentation: Augmentation) -> None:
    batches, again = make_batches(augmentation=augmentation), make_batches(augmentation=augmentation)
    list(again.train(0))  # another epoch before changes nothing
    torch.manual_seed(1)  # nor does anything else that is random
    for first, second in zip(batches.train(3), again.train(3), strict=True):
        assert same(first, second)


def views_of(batches: ActivationBatches, epoch: int) -> dict[int, Tensor]:
    """The view of every picture in one epoch, in the order of its batches."""
    return {
        picture: view
        for batch in batches.train(epoch)
        for picture, view in zip(pictures_of(batch), batch.activations, strict=True)
    }


def test_epochs_and_seeds_differ_in_order_and_in_views() -> None:
    first, second = views_of(make_batches(), 1), views_of(make_batches(), 2)
    other = views_of(make_batches(seed=1), 1)
    assert len({tuple(views) for views in (first, second, other)}) == 3
    for views in (second, other):
        assert views.keys() == first.keys()
        assert not any(torch.equal(view, first[picture]) for picture, view in views.items())


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_holds_every_training_picture_once_with_its_target(epoch: int) -> None:
    batches = make_batches(augmentation=Augmentation(horizontal_flip=True))
    seen: Counter[int] = Counter()
    for batch in batches.train(epoch):
        seen.update(pictures_of(batch))
        assert batch.targets.tolist() == [picture % CLASSES for picture in pictures_of(batch)]
        assert batch.soft_targets is None
    assert seen == Counter(batches.train_indices.tolist())
    assert batches.train_pictures == len(seen)


def test_a_balanced_epoch_draws_each_class_equally_often_and_all_of_the_small_ones() -> None:
    batches = make_batches(count=40, balanced=True)
    rare = batches.train_indices[batches.targets[batches.train_indices] == 2][:2]
    common = batches.train_indices[batches.targets[batches.train_indices] != 2]
    batches = replace(batches, train_indices=np.sort(np.concatenate([rare, common])))
    counts: Counter[int] = Counter()
    for batch in batches.train(1):
        counts.update(batch.targets.tolist())
    assert sum(counts.values()) == batches.train_pictures
    assert max(counts.values()) - min(counts.values()) <= 1
    again = [batch.targets.tolist() for batch in batches.train(1)]
    assert again == [batch.targets.tolist() for batch in batches.train(1)]
    assert again != [batch.targets.tolist() for batch in batches.train(2)]


def test_epoch_0_sees_the_pictures_as_they_are_and_later_ones_do_not() -> None:
    batches = make_batches()
    plain = make_pixels(
        batches.activations.augmenter.preprocessing,
        *map(torch.from_numpy, batches.activations.pixels.read(np.arange(20))),
    )
    for batch in batches.train(0):
        assert torch.equal(batch.activations, plain[pictures_of(batch)])
    for batch in batches.train(1):
        assert not torch.equal(batch.activations, plain[pictures_of(batch)])


def test_views_come_round_again_and_the_order_does_not() -> None:
    batches, fresh = make_batches(views=3), make_batches()
    for epoch in range(7):
        seen, expected = views_of(batches, epoch), views_of(fresh, epoch % 3)
        assert all(torch.equal(view, expected[picture]) for picture, view in seen.items())
    assert list(views_of(batches, 1)) != list(views_of(batches, 4))


def test_what_is_worth_keeping_is_what_is_read_again() -> None:
    train, val = make_batches().train_indices.tolist(), make_batches().val_indices.tolist()
    both = sorted([*train, *val])

    def wanted(batches: ActivationBatches, epochs: int, probe: bool = False) -> dict[int, list[int]]:
        return {view: indices.tolist() for view, indices in batches.wanted(epochs, probe=probe).items()}

    assert wanted(make_batches(views=3), 5) == {0: both, 1: train, 2: train}
    assert wanted(make_batches(views=3), 2) == {0: both, 1: train}
    assert wanted(make_batches(views=1), 2) == {0: both}
    assert wanted(make_batches(views=3), 0, probe=True) == {0: both}
    assert wanted(make_batches(views=None), 5) == {0: val}
    assert wanted(make_batches(views=None), 5, probe=True) == {0: both}
    assert wanted(make_batches(views=3, augmentation=Augmentation(mixup=0.4)), 5) == {0: val}


def test_a_view_does_not_depend_on_the_batch_that_it_is_in() -> None:
    few, many = views_of(make_batches(batch_size=4), 1), views_of(make_batches(batch_size=7), 1)
    assert few.keys() == many.keys()
    assert all(torch.equal(view, many[picture]) for picture, view in few.items())


def test_validation_holds_its_pictures_in_order_and_as_they_are() -> None:
    batches = make_batches(batch_size=3)
    found = list(batches.val())
    assert [picture for batch in found for picture in pictures_of(batch)] == batches.val_indices.tolist()
    plain = make_pixels(
        batches.activations.augmenter.preprocessing,
        *map(torch.from_numpy, batches.activations.pixels.read(batches.val_indices)),
    )
    assert torch.equal(torch.cat([batch.activations for batch in found]), plain)
    assert torch.cat([batch.targets for batch in found]).tolist() == batches.targets[batches.val_indices].tolist()
    assert batches.val_pictures == len(batches.val_indices)


def test_mixed_batches_have_probabilities_beside_the_pictures_own_targets() -> None:
    for batch in make_batches(augmentation=Augmentation(mixup=1.0)).train(2):
        assert batch.soft_targets is not None
        torch.testing.assert_close(batch.soft_targets.sum(1), torch.ones(len(batch.targets)))
        own = batch.soft_targets[torch.arange(len(batch.targets)), batch.targets]
        assert (own > 0).all()


@pytest.mark.parametrize("batch_size", [2, 3, 8])
@pytest.mark.parametrize("count", range(1, 28))
def test_batches_cover_all_and_none_holds_one_picture(count: int, batch_size: int) -> None:
    bounds = batch_bounds(count, batch_size)
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert (bounds[0], bounds[-1]) == (0, count)
    assert all(size == batch_size for size in sizes[:-1])
    assert (2 <= sizes[-1] <= batch_size + 1) or count == 1


def test_steps_per_epoch_counts_the_batches() -> None:
    for count, batch_size in ((20, 5), (21, 5), (22, 8), (25, 19)):
        batches = make_batches(count, batch_size)
        assert len(list(batches.train(0))) == batches.steps_per_epoch
