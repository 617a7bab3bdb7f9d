"""TrivialAugment: each view goes through one operation of its own, drawn evenly, at a strength drawn evenly.

Müller and Hutter 2021, arXiv:2103.10158, in its wide space. Amounts in pixels of 224 are the same part of any side;
borders are reflected, as in all views.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from frostline._torchvision import ensure_importable
from frostline.model.transfer import to_device

STRENGTHS = 31
"""Strengths of an operation, evenly from none to the largest."""

_MOST = 0.99
"""Largest shear, and largest change of a factor."""
_MOST_SHIFT = 32 / 224
_MOST_ROTATION = np.radians(135)
_LEAST_BITS = 2
_LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in a picture's brightness (ITU-R 601)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Operations:
    """The operation of each view."""

    names: NDArray[np.str_]
    """One of `OPERATIONS` for each view, shape (N,)."""
    amounts: Floats
    """Their strengths with a sign, from -1 to 1, shape (N,)."""

    @classmethod
    def of(cls, draws: Floats) -> "Operations":
        """From three uniform numbers a view, (N, 3)."""
        names = np.array(OPERATIONS)[(draws[:, 0] * len(OPERATIONS)).astype(int)]
        strengths = np.floor(draws[:, 1] * STRENGTHS) / (STRENGTHS - 1)
        return cls(names, np.where(draws[:, 2] < 0.5, -strengths, strengths))

    def matrices(self) -> Tensor:
        """What they do to positions, float32 (N, 3, 3): from the view after the operation to the view before it.

        Positions are (x, y, 1), from -1 to 1 between the borders.
        """
        matrices = np.tile(np.eye(3), (len(self.names), 1, 1))
        for name, place, most in (
            ("shear_x", (0, 1), _MOST),
            ("shear_y", (1, 0), _MOST),
            ("shift_x", (0, 2), 2 * _MOST_SHIFT),
            ("shift_y", (1, 2), 2 * _MOST_SHIFT),
        ):
            rows = self.names == name
            matrices[rows, place[0], place[1]] = most * self.amounts[rows]
        rows = self.names == "rotation"
        cosine, sine = np.cos(_MOST_ROTATION * self.amounts[rows]), np.sin(_MOST_ROTATION * self.amounts[rows])
        matrices[rows, :2, :2] = np.moveaxis(np.array([[cosine, -sine], [sine, cosine]]), 2, 0)
        return torch.from_numpy(matrices.astype(np.float32))

    def recolour(self, views: Tensor) -> Tensor:
        """Change the colours of views, float32 (N, 3, height, width) in 0..1, where they are; returns them."""
        for name, operation in _COLOURS.items():
            found = np.flatnonzero(self.names == name)
            if len(found):
                rows = to_device(torch.from_numpy(found), views.device)
                amounts = to_device(torch.from_numpy(self.amounts[found].astype(np.float32)), views.device)
                views[rows] = operation(views[rows], amounts.view(-1, 1, 1, 1))
        return views


def _blend(other: Tensor, views: Tensor, amounts: Tensor) -> Tensor:
    """`other` at an amount of -1, nearly; the views themselves at 0; as far beyond them at 1."""
    return torch.lerp(other, views, 1 + _MOST * amounts).clamp_(0, 1)


def _grey(views: Tensor) -> Tensor:
    red, green, blue = (weight * views[:, channel] for channel, weight in enumerate(_LUMA))
    return (red + green + blue).unsqueeze(1).expand_as(views)


def _brightness(views: Tensor, amounts: Tensor) -> Tensor:
    return _blend(torch.zeros_like(views), views, amounts)


def _saturation(views: Tensor, amounts: Tensor) -> Tensor:
    return _blend(_grey(views), views, amounts)


def _contrast(views: Tensor, amounts: Tensor) -> Tensor:
    return _blend(_grey(views).mean((2, 3), keepdim=True).expand_as(views), views, amounts)


def _sharpness(views: Tensor, amounts: Tensor) -> Tensor:
    """Between each view and itself smoothed, the outermost pixels apart."""
    kernel = torch.ones(3, 1, 3, 3, device=views.device)
    kernel[:, :, 1, 1] = 5
    smooth = views.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(views, kernel / 13, groups=3)
    return _blend(smooth, views, amounts)


def _posterize(views: Tensor, amounts: Tensor) -> Tensor:
    """Keep the highest 8 to 2 bits of each value."""
    step = 2 ** ((8 - _LEAST_BITS) * amounts.abs()).round()
    return (views * 255).div_(step).floor_().mul_(step).div_(255)


def _solarize(views: Tensor, amounts: Tensor) -> Tensor:
    """Invert the values that are not below a threshold."""
    return torch.where(views < 1 - amounts.abs(), views, 1 - views)


def _autocontrast(views: Tensor, amounts: Tensor) -> Tensor:
    """Stretch each channel from 0 to 1, where it has more than one value."""
    low, high = views.amin((2, 3), keepdim=True), views.amax((2, 3), keepdim=True)
    return torch.where(high > low, (views - low) / (high - low).clamp(min=1e-6), views)


def _equalize(views: Tensor, amounts: Tensor) -> Tensor:
    """Spread each channel's values evenly."""
    ensure_importable()
    from torchvision.transforms.v2.functional import equalize

    levels: Tensor = equalize((views * 255).round_().to(torch.uint8))
    return levels.to(views.dtype).div_(255)


_COLOURS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brightness,
    "saturation": _saturation,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}

OPERATIONS = ("identity", "shear_x", "shear_y", "shift_x", "shift_y", "rotation", *_COLOURS)
"""All of them; `identity` changes nothing."""
