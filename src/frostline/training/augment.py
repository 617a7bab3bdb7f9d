"""Random views of pictures, the same for the same seed, number and picture, whatever else is in the batch."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import make_pixels, normalise, resample
from frostline.model.transfer import to_device
from frostline.training.mixing import Mixing, draw_mixing
from frostline.training.trivial import Operations

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """How much pictures are varied in training; amounts are drawn uniformly from -amount to amount."""

    rotation: float = 0.0
    """Degrees about the centre."""
    shift: float = 0.0
    """Fraction of the side, along each axis."""
    shear: float = 0.0
    """Degrees by which horizontal lines tilt while vertical ones stay upright."""
    zoom: float = 0.0
    """The extent that is seen along each axis is drawn from 1 - zoom to 1 + zoom."""
    horizontal_flip: bool = False
    """Mirror every second view, at random."""
    trivial_augment: bool = False
    """Put each view through one more operation of its own; see `training.trivial`."""
    random_erasing: float = 0.0
    """Probability that a rectangle of a view is erased."""
    mixup: float = 0.0
    """Alpha of MixUp's beta distribution; 0 is off."""
    cutmix: float = 0.0
    """Alpha of CutMix's beta distribution; 0 is off."""

    @property
    def moves(self) -> bool:
        """Whether views differ from their pictures in geometry."""
        return self.horizontal_flip or max(self.rotation, self.shift, self.shear, self.zoom) > 0

    @property
    def varies(self) -> bool:
        """Whether a picture's views differ."""
        return self.moves or self.trivial_augment or self.random_erasing > 0

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are mixed."""
        return max(self.mixup, self.cutmix) > 0


PRESETS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(rotation=5, shift=0.05, zoom=0.05, horizontal_flip=True),
    "medium": Augmentation(rotation=15, shift=0.1, shear=10, zoom=0.1, horizontal_flip=True),
    "strong": Augmentation(rotation=20, shift=0.15, shear=15, zoom=0.25, horizontal_flip=True, random_erasing=0.25),
}
"""Augmentations by name; `medium` has the amounts of the recipe `classic`."""


@dataclass(frozen=True)
class Augmenter:
    """Turns fitted pictures into the network's input, one random view of each. View 0 is the pictures as they are."""

    preprocessing: Preprocessing
    augmentation: Augmentation
    seed: int

    def __call__(self, pictures: Tensor, sides: Tensor, indices: NDArray[np.int64], view: int) -> Tensor:
        """Make one view of each picture: normalised float32 (N, 3, size, size).

        `pictures` and `sides` are as in `Preprocessing.resample`; `indices` (N,) number the pictures in their dataset.
        """
        if view == 0:
            return make_pixels(self.preprocessing, pictures, sides)
        draws = _uniforms(self.seed, view, indices)
        if self.augmentation.trivial_augment:
            operations = Operations.of(_uniforms(self.seed, view, indices, _OF_OPERATIONS)[:, :3])
            moved = _matrices(self.augmentation, draws) @ operations.matrices()
            resampled = resample(self.preprocessing, pictures, sides, moved)
            views = normalise(self.preprocessing, operations.recolour(resampled))
        else:
            matrices = _matrices(self.augmentation, draws) if self.augmentation.moves else None
            views = make_pixels(self.preprocessing, pictures, sides, matrices)
        return _erase(views, self.augmentation.random_erasing, draws) if self.augmentation.random_erasing else views

    def describe(self, view: int, indices: NDArray[np.int64]) -> dict[str, Any]:
        """All that the views of these pictures depend on besides their pixels, ready for JSON."""
        if view == 0:
            return self.preprocessing.to_dict()
        drawn = {"view": view, "seed": self.seed, "indices": hashlib.sha256(indices.tobytes()).hexdigest()}
        return {**self.preprocessing.to_dict(), **asdict(self.augmentation), **drawn}

    def draw_mixing(self, count: int, epoch: int, step: int) -> Mixing:
        """How the `count` pictures of one training step are mixed with each other; see `training.mixing`."""
        amounts, size = self.augmentation, self.preprocessing.size
        return draw_mixing(amounts.mixup, amounts.cutmix, count, size, (self.seed, epoch, step))


def view_matrices(augmentation: Augmentation, indices: NDArray[np.int64], view: int, seed: int) -> Tensor:
    """The affine map that makes one view of each picture, float32 (N, 2, 3).

    It maps output to input positions (x, y, 1), both from -1 to 1 between the picture's borders. As in Keras'
    `ImageDataGenerator`, it is rotation after shift after shear after zoom, all about the centre, of the mirrored view.
    """
    return _matrices(augmentation, _uniforms(seed, view, indices))


def erase(views: Tensor, probability: float, indices: NDArray[np.int64], view: int, seed: int) -> Tensor:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896): views (N, 3, height, width), some with a rectangle of 0.

    On normalised views 0 is the mean colour. A rectangle covers 2 to 33% of the view, at aspect ratios of 0.3 to 3.3.
    """
    return _erase(views, probability, _uniforms(seed, view, indices))


_DRAWS = 12
"""Uniform numbers drawn for one view: seven for its geometry, then five for erasing."""
_BLOCKS = _DRAWS // 4
"""Steps of Philox's counter for one view: each yields four numbers."""


_OF_OPERATIONS = 2
"""The part of Philox's counter from which the operations of TrivialAugment are drawn; that of mixing is 1."""


def _uniforms(seed: int, view: int, indices: NDArray[np.int64], part: int = 0) -> Floats:
    """Rows `indices` of the view's table of uniform numbers, (N, 12), without drawing the rest of the table."""
    bits = np.random.Philox(key=_key(seed, view))
    generator = np.random.Generator(bits)
    state = bits.state
    state["state"]["counter"][2] = part
    draws = np.empty((len(indices), _DRAWS))
    for row, index in enumerate(indices.tolist()):
        state["state"]["counter"][0] = _BLOCKS * index
        bits.state = state
        draws[row] = generator.random(_DRAWS)
    return draws


def _key(seed: int, number: int) -> NDArray[np.uint64]:
    return np.array([seed, number], dtype=np.uint64)


def _matrices(augmentation: Augmentation, draws: Floats) -> Tensor:
    """See `view_matrices`; positions span 2 from border to border, so a shift by the whole side is 2."""
    signed = 2 * draws[:, :6].T - 1
    angle = np.radians(augmentation.rotation) * signed[0]
    shift = 2 * augmentation.shift * signed[1:3]
    shear = np.radians(augmentation.shear) * signed[3]
    zoom_x, zoom_y = 1 + augmentation.zoom * signed[4:6]
    mirror = np.where(augmentation.horizontal_flip & (draws[:, 6] < 0.5), -1.0, 1.0)
    rotate = _stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    skew = _stack([[np.cos(shear), 0 * shear], [-np.sin(shear), 1 + 0 * shear]])
    scale = _stack([[zoom_x * mirror, 0 * zoom_x], [0 * zoom_y, zoom_y]])
    matrices = np.concatenate([rotate @ skew @ scale, rotate @ shift.T[:, :, None]], axis=2)
    return torch.from_numpy(matrices.astype(np.float32))


def _stack(rows: list[list[Floats]]) -> Floats:
    """Matrices (N, 2, 2) from their entries, each (N,)."""
    return np.moveaxis(np.array(rows), 2, 0)


def _erase(views: Tensor, probability: float, draws: Floats) -> Tensor:
    """See `erase`. Views that are erased are changed in a copy of the batch."""
    gate, area, aspect, top, left = to_device(torch.from_numpy(draws[:, 7:12].T.astype(np.float32)), views.device)
    height, width = views.shape[2:]
    area = 0.02 + (0.33 - 0.02) * area
    log_limit = float(np.log(1 / 0.3))
    aspect = torch.exp(log_limit * (2 * aspect - 1))
    box_height = ((area * aspect).sqrt() * height).round().clamp(1, height)
    box_width = ((area / aspect).sqrt() * width).round().clamp(1, width)
    rows = _between((top * (height - box_height + 1)).floor(), box_height, height)
    columns = _between((left * (width - box_width + 1)).floor(), box_width, width)
    erased = (gate < probability)[:, None, None] & rows[:, :, None] & columns[:, None, :]
    return views.masked_fill(erased[:, None], 0.0)


def _between(start: Tensor, length: Tensor, count: int) -> Tensor:
    """Which of the positions 0 to count - 1 lie in [start, start + length): bool (N, count)."""
    positions = torch.arange(count, device=start.device)
    return (positions >= start[:, None]) & (positions < (start + length)[:, None])
