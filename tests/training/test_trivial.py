"""TrivialAugment, against torchvision's operations on pictures of whole levels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from frostline.model.preprocessing import Preprocessing
from frostline.model.resampling import resample
from frostline.training.trivial import OPERATIONS, STRENGTHS, Operations

Reference = Callable[[Tensor, float], Tensor]


def reference(name: str) -> Reference:
    from torchvision.transforms.v2 import functional as F

    factor: dict[str, Callable[[Tensor, float], Tensor]] = {
        "brightness": F.adjust_brightness,
        "saturation": F.adjust_saturation,
        "contrast": F.adjust_contrast,
        "sharpness": F.adjust_sharpness,
    }
    if name in factor:
        return lambda picture, amount: factor[name](picture, 1 + 0.99 * amount)
    others: dict[str, Reference] = {
        "posterize": lambda picture, amount: F.posterize(picture, 8 - round(6 * abs(amount))),
        "solarize": lambda picture, amount: F.solarize(picture, 255 * (1 - abs(amount))),
        "autocontrast": lambda picture, _: F.autocontrast(picture),
        "equalize": lambda picture, _: F.equalize(picture),
    }
    return others[name]


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (4, 3, 20, 20), dtype=torch.uint8, generator=generator)
    ramp = torch.arange(400).view(1, 1, 20, 20).expand(1, 3, 20, 20) // 4 + 50
    return torch.cat([noise, ramp.to(torch.uint8)])


@pytest.mark.parametrize("name", OPERATIONS[6:])
@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.0, 0.2, 1.0])
def test_colours_are_those_of_torchvision(name: str, amount: float, pictures: Tensor) -> None:
    count = len(pictures)
    operations = Operations(np.full(count, name), np.full(count, amount))
    found = operations.recolour(pictures / 255) * 255
    expected = torch.stack([reference(name)(picture, amount) for picture in pictures]).float()
    assert (found - expected).abs().max() < 2, "apart from levels that torchvision cuts off on the way"


def test_a_view_has_its_own_operation_whatever_is_beside_it(pictures: Tensor) -> None:
    operations = Operations.of(np.random.default_rng(0).random((len(pictures), 3)))
    together = operations.recolour(pictures / 255)
    for row in range(len(pictures)):
        alone = Operations(operations.names[row : row + 1], operations.amounts[row : row + 1])
        assert torch.equal(alone.recolour(pictures[row : row + 1] / 255)[0], together[row])


def test_operations_and_strengths_are_drawn_evenly() -> None:
    operations = Operations.of(np.random.default_rng(0).random((28_000, 3)))
    names, counts = np.unique(operations.names, return_counts=True)
    assert set(names) == set(OPERATIONS)
    assert len(OPERATIONS) == 14
    assert abs(counts / 2_000 - 1).max() < 0.1
    strengths, counts = np.unique(np.round(np.abs(operations.amounts) * (STRENGTHS - 1)), return_counts=True)
    assert strengths.tolist() == list(range(STRENGTHS))
    assert abs(counts * STRENGTHS / 28_000 - 1).max() < 0.15
    assert abs((operations.amounts > 0).mean() / (operations.amounts < 0).mean() - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("identity", (0.25, 0.5)),
        ("shear_x", (0.25 + 0.99 * 0.5, 0.5)),
        ("shear_y", (0.25, 0.5 + 0.99 * 0.25)),
        ("shift_x", (0.25 + 64 / 224, 0.5)),
        ("shift_y", (0.25, 0.5 + 64 / 224)),
    ],
)
def test_positions_move_along_one_axis(name: str, seen: tuple[float, float]) -> None:
    matrix = Operations(np.array([name]), np.array([1.0])).matrices()[0]
    assert (matrix @ torch.tensor([0.25, 0.5, 1.0]))[:2].tolist() == pytest.approx(seen)
    opposite = Operations(np.array([name]), np.array([-1.0])).matrices()[0]
    torch.testing.assert_close(matrix - torch.eye(3), torch.eye(3) - opposite)


def test_a_rotation_by_its_strength_turns_the_picture() -> None:
    """The largest is 135 degrees, so two thirds of it are 90."""
    picture = torch.arange(64, dtype=torch.uint8).view(1, 8, 8, 1).expand(1, 8, 8, 3)
    matrix = Operations(np.array(["rotation"]), np.array([2 / 3])).matrices()[:, :2]
    preprocessing = Preprocessing(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    turned = resample(preprocessing, picture, torch.tensor([8]), matrix)[0, 0] * 255
    assert torch.equal(turned.round(), torch.rot90(picture[0, :, :, 0].float()))
