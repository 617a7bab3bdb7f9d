"""The input size that is chosen where the options leave it open."""

from pathlib import Path

import pytest

from frostline.config import TrainConfig
from frostline.data.sources import load_dataset
from frostline.errors import ModelError
from frostline.training.defaults import choose_size, default_size, typical_side


@pytest.mark.parametrize(
    ("native_size", "side", "enlarge", "expected"),
    [
        *((224, 8, 3.5, 64), (224, 32, 3.5, 112), (224, 32, 2.5, 80), (224, 32, 4, 128), (224, 33, 3, 112)),
        *((224, 40, 3.5, 144), (224, 64, 3.5, 224), (224, 500, 1, 224), (224, 80, 1, 80), (160, 96, 3, 160)),
        (32, 8, 3, 32),
    ],
)
def test_small_pictures_are_not_enlarged_without_end(
    native_size: int, side: int, enlarge: float, expected: int
) -> None:
    assert choose_size(native_size, side, enlarge) == expected


def test_pictures_that_cannot_be_read_are_passed_over(photos: Path) -> None:
    assert typical_side(load_dataset(photos)) == 40
    for path in photos.rglob("*.jpg"):
        if path.name != "019.jpg":
            path.write_text("no picture")
    assert typical_side(load_dataset(photos), count=60) == 40
    for path in photos.rglob("*.jpg"):
        path.write_text("no picture")
    assert typical_side(load_dataset(photos)) > 224


def test_a_network_that_is_tied_to_its_size_keeps_it(photos: Path) -> None:
    dataset = load_dataset(photos)
    assert default_size(TrainConfig(backbone="vit_small_patch16_224"), dataset) == 224
    assert default_size(TrainConfig(backbone="mobilenetv2_100"), dataset) == 144
    assert default_size(TrainConfig(backbone="mobilenetv2_100", enlarge=2), dataset) == 80
    with pytest.raises(ModelError, match="unknown backbone"):
        default_size(TrainConfig(backbone="mobilenetv22"), dataset)
