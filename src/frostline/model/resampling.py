"""From fitted pictures to a network's input: resampled and normalised, in batches."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from frostline.data.dataset import Picture
from frostline.model.preprocessing import Preprocessing
from frostline.model.transfer import to_device

_PIECE_PIXELS = 2**17
"""Output pixels that one thread resamples at a time, so that their positions stay in its cache."""


def make_pixels(
    preprocessing: Preprocessing, pictures: Tensor, sides: Tensor, matrices: Tensor | None = None
) -> Tensor:
    """Resample and normalise: float32 (N, 3, size, size); arguments as in `resample`.

    Bilinear weights sum to one, so that the pictures can be normalised first, where they have fewer pixels.
    """
    return _sample(pictures, sides, matrices, preprocessing.size, lambda x: normalise(preprocessing, x))


def pixels_of(preprocessing: Preprocessing, squares: Sequence[Picture], device: torch.device) -> Tensor:
    """The network's input for fitted pictures, plain: float32 (N, 3, size, size)."""
    sides = torch.tensor([len(square) for square in squares])
    buffer = torch.zeros(len(squares), int(sides.max()), int(sides.max()), 3, dtype=torch.uint8)
    for row, square in zip(buffer, squares, strict=True):
        row[: len(square), : len(square)] = torch.from_numpy(square)
    return make_pixels(preprocessing, to_device(buffer, device), sides)


def resample(preprocessing: Preprocessing, pictures: Tensor, sides: Tensor, matrices: Tensor | None = None) -> Tensor:
    """Sample each picture at `size` x `size` points, bilinearly, reflecting positions at its border.

    `pictures` is a uint8 buffer (N, S, S, 3) with each picture in its top left corner; `sides` int64 (N,)
    are their sides in pixels. `matrices` float (N, 2, 3) map output to input positions (x, y, 1), both
    from -1 to 1 between the picture's borders; none means plain views, which are quicker than identities.
    Returns float32 (N, 3, size, size) in 0..1. A plain picture whose side is `size` is returned exactly.
    """
    return _sample(pictures, sides, matrices, preprocessing.size, lambda x: x)


def normalise(preprocessing: Preprocessing, x: Tensor) -> Tensor:
    """Subtract `mean` and divide by `std`, per channel of (N, 3, height, width)."""
    mean, std = _mean_and_std(preprocessing, x.device, x.dtype)
    return (x - mean).div_(std)


@lru_cache(maxsize=16)
def _mean_and_std(preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both of shape (3, 1, 1); kept, since a copy to a GPU waits for all that it has begun."""
    mean, std = (torch.tensor(each, device=device, dtype=dtype) for each in (preprocessing.mean, preprocessing.std))
    return mean.view(3, 1, 1), std.view(3, 1, 1)


def _sample(
    pictures: Tensor, sides: Tensor, matrices: Tensor | None, size: int, convert: Callable[[Tensor], Tensor]
) -> Tensor:
    """Resample pictures after `convert`; successive ones of equal side together, a few at a time on a CPU."""
    result = torch.empty(len(pictures), 3, size, size, device=pictures.device)
    on_cpu = pictures.device.type == "cpu"
    piece = max(1, _PIECE_PIXELS // size**2) * torch.get_num_threads() if on_cpu else len(pictures)
    for side, rows in _pieces(sides.tolist(), piece):
        source = convert(_unit_range(pictures[rows, :side, :side]))
        result[rows] = _upsample(source, size) if matrices is None else _warp(source, matrices[rows], size)
    return result


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
    """Sample views given by their matrices, which are on the CPU, (N, 3, side, side) to (N, 3, size, size)."""
    matrix = to_device(matrices.to(source.dtype), source.device)
    centres = (torch.arange(size, device=source.device) + 0.5) * (2 / size) - 1
    along_row = matrix[:, :, :1] * centres + matrix[:, :, 2:]
    along_column = matrix[:, :, 1:2] * centres
    positions = along_row[:, :, None, :] + along_column[:, :, :, None]
    sampled = F.grid_sample(
        source, positions.permute(0, 2, 3, 1), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    if source.shape[-1] == size:
        identical = (matrices == torch.eye(2, 3)).all(dim=2).all(dim=1).nonzero().flatten()
        if len(identical):
            rows = to_device(identical, source.device)
            sampled[rows] = source[rows]
    return sampled
