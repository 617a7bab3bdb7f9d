"""What a network expects of its input, and how a picture is fitted to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from frostline.data.dataset import Picture
from frostline.data.decode import ResizeMode, fit_square
from frostline.errors import ModelError


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


def _channels(name: str, values: object) -> tuple[float, float, float]:
    """Check the three numbers of a saved mean or std."""
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(value, (int, float)) for value in values):
        raise ModelError(f"preprocessing {name} must be three numbers, for red, green and blue, not {values!r}")
    red, green, blue = map(float, values)
    return red, green, blue
