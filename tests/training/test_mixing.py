"""MixUp and CutMix: proportions that agree, drawn by seed, epoch and step, for any part of a batch."""

import numpy as np
import pytest
import torch
from torch import Tensor

from frostline.training.mixing import Mixing, draw_mixing

SIZE = 20


def mix(mixing: Mixing, views: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return mixing(views, targets, np.arange(len(views)), mixing.partners)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_targets_are_the_proportions_of_the_pictures(mixup: float, cutmix: float) -> None:
    count = 6
    targets = torch.eye(count)
    views = targets[:, :, None, None].expand(count, count, SIZE, SIZE).contiguous()
    for step in range(20):
        mixed, soft = mix(draw_mixing(mixup, cutmix, count, SIZE, (0, 1, step)), views, targets)
        torch.testing.assert_close(mixed.mean(dim=(2, 3)), soft)
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(count))
    assert torch.equal(views.amax(dim=(2, 3)), targets)


def test_it_follows_from_seed_epoch_and_step() -> None:
    first, again = (draw_mixing(1.0, 1.0, 8, SIZE, (0, 1, 2)) for _ in range(2))
    assert (first.kept, first.box) == (again.kept, again.box)
    assert np.array_equal(first.partners, again.partners)
    for key in [(1, 1, 2), (0, 2, 2), (0, 1, 3)]:
        assert draw_mixing(1.0, 1.0, 8, SIZE, key).kept != first.kept


def test_both_ways_take_turns() -> None:
    boxes = [draw_mixing(1.0, 1.0, 4, SIZE, (0, 1, step)).box for step in range(200)]
    assert 70 < sum(box is None for box in boxes) < 130


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0)])
def test_a_part_of_a_batch_is_mixed_as_in_the_whole_one(mixup: float, cutmix: float) -> None:
    views, targets = torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)), torch.eye(8)
    mixing = draw_mixing(mixup, cutmix, 8, SIZE, (0, 1, 2))
    mixed, soft = mix(mixing, views, targets)
    rows = np.array([1, 2, 7])
    read = np.union1d(rows, mixing.partners[rows])
    places = np.searchsorted(read, rows), np.searchsorted(read, mixing.partners[rows])
    part, part_soft = mixing(views[read], targets[read], *places)
    assert torch.equal(part, mixed[rows])
    assert torch.equal(part_soft, soft[rows])
