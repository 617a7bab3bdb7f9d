"""MixUp and CutMix: pictures of a batch mixed with each other, and their targets in the same proportion."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.model.transfer import to_device


@dataclass(frozen=True)
class Mixing:
    """How each picture of a batch is mixed with another one."""

    partners: NDArray[np.int64]
    """Row of each picture's partner, (count,)."""
    kept: float
    """Part of a picture, and of its target, that stays."""
    box: tuple[int, int, int, int] | None
    """Top, bottom, left and right of what CutMix takes from the partner; None for MixUp."""

    def __call__(
        self, views: Tensor, targets: Tensor, rows: NDArray[np.int64], partners: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Mix some `rows` of `views` (N, 3, size, size) and probabilities (N, classes) with their `partners` there."""
        first, second = (to_device(torch.from_numpy(each), views.device) for each in (rows, partners))
        mixed_targets = torch.lerp(targets[second], targets[first], self.kept)
        if self.box is None:
            return torch.lerp(views[second], views[first], self.kept), mixed_targets
        top, bottom, left, right = self.box
        mixed = views[first]
        mixed[:, :, top:bottom, left:right] = views[second, :, top:bottom, left:right]
        return mixed, mixed_targets


def draw_mixing(mixup: float, cutmix: float, count: int, size: int, key: tuple[int, int, int]) -> Mixing:
    """How the `count` pictures, of `size` x `size` pixels, of one training step are mixed.

    By MixUp (Zhang et al. 2018, arXiv:1710.09412) or CutMix (Yun et al. 2019, arXiv:1905.04899), with their alphas, of
    which 0 is off; where both are on, each step uses one of them, with equal chances. One proportion serves the whole
    batch, drawn anew for each `key` of seed, epoch and step.
    """
    seed, epoch, step = key
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=[0, step, 1, 0]))
    use_cutmix = cutmix > 0 and (mixup <= 0 or rng.random() < 0.5)
    alpha = cutmix if use_cutmix else mixup
    kept = float(rng.beta(alpha, alpha))
    partners = rng.permutation(count)
    if not use_cutmix:
        return Mixing(partners, kept, None)
    top, bottom, left, right = box = _box(size, size, 1 - kept, rng)
    return Mixing(partners, 1 - (bottom - top) * (right - left) / size**2, box)


def _box(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a box with this fraction of the view's area, anywhere, cut off at the borders."""
    centre = rng.random(2) * (height, width)
    half = np.sqrt(area) / 2 * np.array([height, width])
    low = np.rint(np.clip(centre - half, 0, (height, width))).astype(int)
    high = np.rint(np.clip(centre + half, 0, (height, width))).astype(int)
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])
