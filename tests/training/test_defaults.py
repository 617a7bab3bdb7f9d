"""The input size that is chosen where the options leave it open."""

from pathlib import Path

import pytest

from frostline.data.sources import load_dataset
from frostline.errors import ModelError
from frostline.training.defaults import choose_size, default_size, typical_side


@pytest.mark.parametrize(
    ("native_size", "side", "expected"),
    [(224, 8, 64), (224, 32, 96), (224, 40, 128), (224, 74, 224), (224, 500, 224), (160, 96, 160), (32, 8, 32)],
)
def test_small_pictures_are_not_enlarged_without_end(native_size: int, side: int, expected: int) -> None:
    assert choose_size(native_size, side) == expected


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
    assert default_size("vit_small_patch16_224", dataset) == 224
    assert default_size("mobilenetv2_100", dataset) == 128
    with pytest.raises(ModelError, match="unknown backbone"):
        default_size("mobilenetv22", dataset)
