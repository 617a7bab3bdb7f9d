from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline.data.decode import UnreadablePictureError
from frostline.data.given import ValueRange, as_paths, as_pictures, as_range, path_dataset


@pytest.mark.parametrize(
    "given",
    [
        ["a.png", "b/c.png"],
        ("a.png", Path("b/c.png")),
        np.array(["a.png", "b/c.png"]),
        np.array([Path("a.png"), Path("b/c.png")]),
        np.array([["a.png"], ["b/c.png"]], dtype=object),
    ],
    ids=["list", "tuple", "strings", "objects", "column"],
)
def test_paths_come_in_many_forms(given: object) -> None:
    paths = as_paths(given)
    assert paths == ["a.png", "b/c.png"]
    assert all(type(path) is str for path in paths)


@pytest.mark.parametrize("given", [[], [[1, 2], [3, 4]], np.zeros((2, 3)), np.array([["a", "b"], ["c", "d"]]), 3, None])
def test_what_holds_no_paths_is_left_to_others(given: object) -> None:
    assert as_paths(given) is None


def test_a_path_that_is_missing_is_named_by_its_row() -> None:
    with pytest.raises(ValueError, match="row 1 is None"):
        as_paths(["a.png", None])
    with pytest.raises(ValueError, match=r"give a list of them, such as \['a.png'\]"):
        as_paths("a.png")


def test_a_path_that_is_given_twice_is_two_samples_of_one_group(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.png", "b.png", "a.png", "a.png#2")]
    for shade, path in enumerate(dict.fromkeys(paths)):
        Image.new("RGB", (4, 4), (shade, shade, shade)).save(path, "PNG")
    dataset = path_dataset("X", "X", paths, [0, 1, 0, 1], "ab")
    names = [sample.path for sample in dataset.samples]
    assert names[:2] == paths[:2]
    assert len(set(names)) == 4
    assert [sample.group for sample in dataset.samples] == [paths[0], None, paths[0], None]
    assert [int(dataset.picture(row).max()) for row in range(4)] == [0, 1, 0, 2]


def test_a_file_that_is_not_there_is_named() -> None:
    dataset = path_dataset("X", "X", ["gone.png", "gone.png"], [0, 1], "ab")
    for row in range(2):
        with pytest.raises(UnreadablePictureError, match=r"^cannot read gone.png: No such file"):
            dataset.picture(row)


def test_pictures_of_bytes_are_not_copied() -> None:
    pictures = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    assert as_pictures(pictures) is pictures


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 1)])
def test_grey_has_three_equal_channels(shape: Sequence[int]) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(shape)
    pictures = as_pictures(grey)
    assert pictures.shape == (2, 3, 4, 3)
    for channel in range(3):
        np.testing.assert_array_equal(pictures[..., channel], grey.reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("values", "value_range"),
    [
        (np.array([0, 128, 255]), None),
        (np.array([0.0, 128 / 255, 1.0]), None),
        (np.array([0, 128 / 255, 1 + 1e-9], dtype=np.float32), None),
        (np.array([-1.0, 1 / 255, 1.0]), (-1.0, 1.0)),
        (np.array([0, 128 * 257, 255 * 257], dtype=np.uint16), (0.0, 65535.0)),
    ],
    ids=["whole", "parts", "rounded", "centred", "sixteen bits"],
)
def test_numbers_are_spread_over_bytes(values: np.ndarray[Any, Any], value_range: ValueRange | None) -> None:
    assert as_pictures(values.reshape(1, 1, 3), value_range)[0, 0, :, 0].tolist() == [0, 128, 255]


def test_truth_values_are_black_and_white() -> None:
    assert as_pictures(np.array([[[False, True]]]))[0, 0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("values", [[-1, 3], [0, 256], [0.0, 16.0], [-0.1, 0.5]])
def test_numbers_out_of_their_range_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"X has values from -?[\d.]+ to [\d.]+, beyond 0 for black .* by value_range"):
        as_pictures(np.array([[values]]))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 2), (2, 3, 4, 4), (2, 3, 16, 16), (1, 2, 3, 4, 3), (2, 0, 4)])
def test_other_shapes_are_refused(shape: Sequence[int]) -> None:
    with pytest.raises(ValueError, match=r"pictures are \(pictures, height, width\) for grey ones"):
        as_pictures(np.zeros(shape, np.uint8))


def test_a_range_is_a_pair_that_grows() -> None:
    assert as_range(None) is None
    assert as_range((0, np.float32(16))) == (0.0, 16.0)
    for strange in [(1, 1), (1, 0), 5, (1,), "black", (0, float("nan")), (0, float("inf"))]:
        with pytest.raises(ValueError, match="value_range is a pair of numbers"):
            as_range(strange)
