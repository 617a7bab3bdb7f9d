"""How a picture becomes a network's input: fitted once, then resampled and normalised in batches."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from frostline.data.dataset import Picture
from frostline.data.decode import ResizeMode, fit_square
from frostline.errors import ModelError

_PIECE_PIXELS = 2**17
"""Output pixels that one thread resamples at a time, so that their positions stay in its cache."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input; it belongs to the weights and is saved with them.

    `size` is the side of the input in pixels. `mean` and `std` are per channel (RGB), for values in 0..1.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_mode: ResizeMode = "crop"

    def fit(self, picture: Picture) -> Picture:
        """Reduce a picture of any shape to a square of side min(shorter side, `size`), uint8 (side, side, 3)."""
        return fit_square(picture, self.size, self.resize_mode)

    def __call__(self, pictures: Tensor, sides: Tensor, matrices: Tensor | None = None) -> Tensor:
        """Resample and normalise: float32 (N, 3, size, size); arguments as in `resample`.

        Bilinear weights sum to one, so that the pictures can be normalised first, where they have fewer pixels.
        """
        return self._sample(pictures, sides, matrices, self.normalise)

    def resample(self, pictures: Tensor, sides: Tensor, matrices: Tensor | None = None) -> Tensor:
        """Sample each picture at `size` x `size` points, bilinearly, reflecting positions at its border.

        `pictures` is a uint8 buffer (N, S, S, 3) with each picture in its top left corner; `sides` int64 (N,)
        are their sides in pixels. `matrices` float (N, 2, 3) map output to input positions (x, y, 1), both
        from -1 to 1 between the picture's borders; none means plain views, which are quicker than identities.
        Returns float32 (N, 3, size, size) in 0..1. A plain picture whose side is `size` is returned exactly.
        """
        return self._sample(pictures, sides, matrices, lambda x: x)

    def normalise(self, x: Tensor) -> Tensor:
        """Subtract `mean` and divide by `std`, per channel of (N, 3, height, width)."""
        mean = torch.tensor(self.mean, device=x.device, dtype=x.dtype).view(3, 1, 1)
        std = torch.tensor(self.std, device=x.device, dtype=x.dtype).view(3, 1, 1)
        return (x - mean).div_(std)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, ready for JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Read what `to_dict` made. Raises `ModelError` for anything else."""
        names = [field.name for field in fields(cls)]
        if sorted(values) != sorted(names):
            raise ModelError(f"preprocessing needs {', '.join(names)} and nothing else, not {', '.join(values)}")
        size, resize_mode = values["size"], values["resize_mode"]
        if not isinstance(size, int) or size < 1:
            raise ModelError(f"preprocessing size must be a whole number of pixels, not {size!r}")
        if resize_mode not in get_args(ResizeMode):
            raise ModelError(f"preprocessing resize_mode must be one of {get_args(ResizeMode)}, not {resize_mode!r}")
        mean, std = _channels("mean", values["mean"]), _channels("std", values["std"])
        if min(std) <= 0:
            raise ModelError(f"preprocessing std must be above zero, not {std}")
        return cls(size, mean, std, resize_mode)

    def _sample(
        self, pictures: Tensor, sides: Tensor, matrices: Tensor | None, convert: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Resample pictures after `convert`; successive ones of equal side together, a few at a time on a CPU."""
        result = torch.empty(len(pictures), 3, self.size, self.size, device=pictures.device)
        on_cpu = pictures.device.type == "cpu"
        piece = max(1, _PIECE_PIXELS // self.size**2) * torch.get_num_threads() if on_cpu else len(pictures)
        for side, rows in _pieces(sides.tolist(), piece):
            source = convert(_unit_range(pictures[rows, :side, :side]))
            result[rows] = (
                _upsample(source, self.size) if matrices is None else _warp(source, matrices[rows], self.size)
            )
        return result


def _channels(name: str, values: object) -> tuple[float, float, float]:
    """Check the three numbers of a saved mean or std."""
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(value, (int, float)) for value in values):
        raise ModelError(f"preprocessing {name} must be three numbers, for red, green and blue, not {values!r}")
    red, green, blue = map(float, values)
    return red, green, blue


def _pieces(sides: list[int], limit: int) -> Iterator[tuple[int, slice]]:
    """Yield the rows of up to `limit` successive pictures of equal side, with that side."""
    start = 0
    for side, run in groupby(sides):
        stop = start + len(list(run))
        for first in range(start, stop, limit):
            yield side, slice(first, min(first + limit, stop))
        start = stop


def _unit_range(pictures: Tensor) -> Tensor:
    """Turn uint8 (N, side, side, 3) into float32 (N, 3, side, side) in 0..1."""
    return pictures.permute(0, 3, 1, 2).contiguous().float().div_(255)


def _upsample(source: Tensor, size: int) -> Tensor:
    """Sample plain views, (N, 3, side, side) to (N, 3, size, size)."""
    if source.shape[-1] == size:
        return source
    return F.interpolate(source, size=(size, size), mode="bilinear", align_corners=False)


def _warp(source: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Sample views given by their matrices, (N, 3, side, side) to (N, 3, size, size)."""
    matrix = matrices.to(source)
    centres = (torch.arange(size, device=source.device) + 0.5) * (2 / size) - 1
    along_row = matrix[:, :, :1] * centres + matrix[:, :, 2:]
    along_column = matrix[:, :, 1:2] * centres
    positions = along_row[:, :, None, :] + along_column[:, :, :, None]
    sampled = F.grid_sample(
        source, positions.permute(0, 2, 3, 1), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    if source.shape[-1] == size:
        identical = (matrices == torch.eye(2, 3, device=matrices.device)).all(dim=2).all(dim=1).to(source.device)
        sampled[identical] = source[identical]
    return sampled
