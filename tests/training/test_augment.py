import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import make_pixels
from frostline.training.augment import PRESETS, Augmentation, Augmenter, erase, view_matrices

PREPROCESS = Preprocessing(24, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MANY = np.arange(4000)


def batch(count: int = 8) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    generator = torch.Generator().manual_seed(0)
    buffer = torch.randint(0, 256, (count, 24, 24, 3), dtype=torch.uint8, generator=generator)
    sides = torch.tensor([24, 16, 24, 9] * (count // 4))
    return buffer, sides, np.arange(count) * 1000


def test_nothing_is_changed_without_amounts() -> None:
    buffer, sides, indices = batch()
    views = Augmenter(PREPROCESS, PRESETS["none"], 0)(buffer, sides, indices, 3)
    assert torch.equal(views, make_pixels(PREPROCESS, buffer, sides))
    identity = torch.eye(2, 3).expand(8, 2, 3)
    assert torch.equal(view_matrices(Augmentation(), indices, 3, 0), identity)


@pytest.mark.parametrize("trivial_augment", [False, True])
def test_a_view_follows_from_seed_epoch_and_picture_alone(trivial_augment: bool) -> None:
    buffer, sides, indices = batch()
    augmenter = Augmenter(PREPROCESS, replace(PRESETS["strong"], trivial_augment=trivial_augment), 7)
    views = augmenter(buffer, sides, indices, 2)
    assert torch.equal(views, augmenter(buffer, sides, indices, 2))
    order = torch.tensor([5, 0, 3])
    assert torch.equal(views[order], augmenter(buffer[order], sides[order], indices[order.numpy()], 2))
    for other in (augmenter(buffer, sides, indices, 3), replace(augmenter, seed=8)(buffer, sides, indices, 2)):
        assert not any(torch.equal(one, two) for one, two in zip(views, other, strict=True))


def test_trivial_augment_leaves_the_other_draws_as_they_are() -> None:
    buffer, sides, indices = batch(64)
    light = Augmenter(PREPROCESS, PRESETS["light"], 7)
    plain, varied = (
        augmenter(buffer, sides, indices, 2)
        for augmenter in (light, replace(light, augmentation=replace(PRESETS["light"], trivial_augment=True)))
    )
    same = sum(torch.allclose(one, two, atol=1e-5) for one, two in zip(plain, varied, strict=True))
    assert 0 < same < 32, "one view in fourteen keeps its picture, and some strengths do nothing"


def test_pictures_vary_independently() -> None:
    matrices = view_matrices(PRESETS["medium"], MANY, 1, 0)
    assert len(np.unique(matrices[:, 0, 2].numpy())) > 3990
    next_epoch = view_matrices(PRESETS["medium"], MANY, 2, 0)
    correlation = np.corrcoef(matrices[:, 0, 2].numpy(), next_epoch[:, 0, 2].numpy())[0, 1]
    neighbours = np.corrcoef(matrices[:-1, 0, 2].numpy(), matrices[1:, 0, 2].numpy())[0, 1]
    assert abs(correlation) < 0.06
    assert abs(neighbours) < 0.06


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """Compare deciles of the values with those of the uniform distribution."""
    deciles = np.quantile(values.numpy(), np.linspace(0, 1, 11))
    np.testing.assert_allclose(deciles, np.linspace(low, high, 11), atol=0.03 * (high - low))
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6


def test_amounts_are_uniform_as_in_keras() -> None:
    rotated = view_matrices(Augmentation(rotation=15), MANY, 1, 0)
    assert_uniform(torch.atan2(rotated[:, 1, 0], rotated[:, 0, 0]) * 180 / math.pi, -15, 15)
    shifted = view_matrices(Augmentation(shift=0.1), MANY, 1, 0)
    assert_uniform(shifted[:, 0, 2] / 2, -0.1, 0.1)
    assert_uniform(shifted[:, 1, 2] / 2, -0.1, 0.1)
    sheared = view_matrices(Augmentation(shear=10), MANY, 1, 0)
    assert_uniform(-torch.asin(sheared[:, 1, 0]) * 180 / math.pi, -10, 10)
    zoomed = view_matrices(Augmentation(zoom=0.1), MANY, 1, 0)
    assert_uniform(zoomed[:, 0, 0], 0.9, 1.1)
    assert_uniform(zoomed[:, 1, 1], 0.9, 1.1)
    flipped = view_matrices(Augmentation(horizontal_flip=True), MANY, 1, 0)
    assert flipped[:, 0, 0].abs().eq(1).all()
    assert abs(flipped[:, 0, 0].mean().item()) < 0.06


def test_composed_like_keras() -> None:
    """Keras multiplies rotation, shift, shear and zoom, in (row, column) order, and mirrors the result."""
    augmentation = PRESETS["medium"]
    parts = [
        replace(Augmentation(), **{name: getattr(augmentation, name)})
        for name in ("rotation", "shift", "shear", "zoom", "horizontal_flip")
    ]
    indices = np.arange(50)
    product = torch.eye(3).repeat(50, 1, 1)
    for part in parts:
        whole = torch.eye(3).repeat(50, 1, 1)
        whole[:, :2] = view_matrices(part, indices, 4, 1)
        product = product @ whole
    torch.testing.assert_close(view_matrices(augmentation, indices, 4, 1), product[:, :2], atol=1e-6, rtol=0)


def test_erasing_covers_one_rectangle_of_the_stated_size() -> None:
    views = torch.ones(300, 3, 64, 64)
    erased = erase(views, 1.0, np.arange(300), 1, 0) == 0
    assert torch.equal(erased[:, 0], erased[:, 2])
    area = erased[:, 0].float().mean(dim=(1, 2))
    assert area.min() > 0.01
    assert area.max() < 0.36
    heights, widths = erased[:, 0].any(dim=2).sum(dim=1), erased[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(erased[:, 0].sum(dim=(1, 2)), heights * widths)
    assert erased[:, 0].any(dim=0).any(dim=0).all()
    assert erased[:, 0].any(dim=0).any(dim=1).all()


def test_erasing_happens_with_its_probability_and_leaves_its_input() -> None:
    views = torch.ones(2000, 1, 8, 8)
    changed = (erase(views, 0.25, np.arange(2000), 1, 0) == 0).flatten(1).any(dim=1)
    assert 0.22 < changed.float().mean().item() < 0.28
    assert views.min() == 1
    assert torch.equal(erase(views, 0.0, np.arange(2000), 1, 0), views)


def test_mixing_is_off_by_default() -> None:
    assert not any(preset.mixes for preset in PRESETS.values())


def test_presets_grow() -> None:
    names = ["none", "light", "medium", "strong"]
    assert list(PRESETS) == names
    for weaker, stronger in pairwise(names):
        for amount in ("rotation", "shift", "shear", "zoom", "random_erasing"):
            assert getattr(PRESETS[weaker], amount) <= getattr(PRESETS[stronger], amount)
