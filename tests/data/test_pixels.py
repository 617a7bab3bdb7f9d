import gc
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data.archives import load_archive
from frostline.data.arrays import array_dataset
from frostline.data.dataset import Dataset
from frostline.data.decode import fit_square
from frostline.data.folders import load_folder
from frostline.data.pixels import read_pixels
from frostline.data.splits import make_splits, require_trainable
from frostline.errors import DataError

HYMENOPTERA = Path(os.environ.get("FROSTLINE_DATA", "no-such-folder")) / "hymenoptera.zip"
SIZES = [(40, 30), (16, 16), (9, 50), (64, 64), (33, 20), (17, 16)]


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    generator = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index, (height, width) in enumerate(SIZES):
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    return load_folder(tmp_path / "photos")


def spoil(dataset: Dataset, name: str, content: bytes = b"text") -> None:
    (Path(dataset.source) / name).write_bytes(content)


@pytest.mark.parametrize("memory_limit", [None, 0, 5_000])
@pytest.mark.parametrize("size", [8, 16, 100])
def test_pixels_are_the_fitted_pictures_kept_or_not(photos: Dataset, size: int, memory_limit: int | None) -> None:
    pixels, unreadable = read_pixels(photos, size=size, resize_mode="crop", memory_limit=memory_limit)
    assert unreadable == ()
    chosen = [7, 0, 3, 3, 11]
    batch, sides = pixels.read(chosen)
    expected = [fit_square(photos.picture(index), size, "crop") for index in chosen]
    assert sides.tolist() == [len(square) for square in expected]
    assert batch.shape == (5, max(sides), max(sides), 3)
    for row, square in zip(batch, expected, strict=True):
        np.testing.assert_array_equal(row[: len(square), : len(square)], square)
        assert not row[len(square) :].any()
        assert not row[:, len(square) :].any()


def test_a_batch_is_a_copy(photos: Dataset) -> None:
    pixels, _ = read_pixels(photos, size=16, resize_mode="stretch")
    before = pixels.read([1])[0].copy()
    pixels.read(np.array([1]))[0][:] = 0
    np.testing.assert_array_equal(pixels.read([1])[0], before)


def test_no_picture_is_an_empty_batch(photos: Dataset) -> None:
    for limit in (None, 0):
        batch, sides = read_pixels(photos, size=16, resize_mode="crop", memory_limit=limit)[0].read([])
        assert batch.shape[0] == len(sides) == 0


def test_every_unreadable_file_is_named(photos: Dataset) -> None:
    spoil(photos, "a/1.png")
    spoil(photos, "b/4.png", b"")
    with pytest.raises(DataError) as caught:
        read_pixels(photos, size=16, resize_mode="crop")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"2 pictures of {photos.source} cannot be read: ")
    assert [line.split(":")[0] for line in lines[1:]] == ["  a/1.png", "  b/4.png"]
    assert "not a picture" in lines[1]
    assert "empty" in lines[2]


def test_unreadable_files_can_be_skipped_and_nothing_takes_their_place(photos: Dataset) -> None:
    before, _ = read_pixels(photos, size=16, resize_mode="crop")
    spoil(photos, "a/1.png")
    pixels, unreadable = read_pixels(photos, size=16, resize_mode="crop", skip_unreadable=True)
    assert [(item.index, item.path) for item in unreadable] == [(1, "a/1.png")]
    rest = [index for index in range(12) if index != 1]
    np.testing.assert_array_equal(pixels.read(rest)[0], before.read(rest)[0])
    with pytest.raises(ValueError, match="picture 1 could not be decoded"):
        pixels.read([0, 1])
    splits = make_splits(photos).without(item.index for item in unreadable)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 11


def test_some_pictures_can_be_decoded_first_and_the_others_when_they_are_read(photos: Dataset) -> None:
    spoil(photos, "a/1.png")
    spoil(photos, "b/4.png")
    some = np.array([0, 1, 5, 7])
    whole, _ = read_pixels(photos, size=16, resize_mode="crop", skip_unreadable=True)
    part, unreadable = read_pixels(photos, size=16, resize_mode="crop", skip_unreadable=True, indices=some)
    assert [item.path for item in unreadable] == ["a/1.png"]
    assert part.digests([0, 5, 7]) == whole.digests([0, 5, 7])
    np.testing.assert_array_equal(part.read([7, 2, 0, 3])[0], whole.read([7, 2, 0, 3])[0])
    with pytest.raises(DataError, match=r"b/4\.png"):
        part.read([10])


def test_a_class_without_any_readable_picture_is_named_by_the_splits(photos: Dataset) -> None:
    splits = make_splits(photos)
    for index in range(len(SIZES)):
        spoil(photos, f"b/{index}.png")
    _, unreadable = read_pixels(photos, size=8, resize_mode="crop", skip_unreadable=True)
    left = splits.without(item.index for item in unreadable)
    with pytest.raises(DataError, match="leaves no training picture of: b"):
        require_trainable(left, photos, "leaving out what cannot be read")


@pytest.mark.parametrize(("size", "side"), [(8, 8), (16, 16), (96, 16)])
def test_arrays_are_read_like_files(size: int, side: int) -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    dataset = array_dataset("made", "made", {"train": (arrays, [0, 1] * 10)}, ["a", "b"], None)
    pixels, _ = read_pixels(dataset, size=size, resize_mode="crop")
    batch, sides = pixels.read([3, 19])
    assert sides.tolist() == [side, side]
    np.testing.assert_array_equal(batch, [fit_square(arrays[i], size, "crop") for i in (3, 19)])


def test_memory_does_not_grow_with_the_dataset_above_the_limit(photos: Dataset) -> None:
    def peak(dataset: Dataset) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            read_pixels(dataset, size=64, resize_mode="crop", memory_limit=50_000, workers=2)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = photos.subset(list(range(12)) * 25)
    many = photos.subset(list(range(12)) * 50)
    peak(few)
    assert peak(many) < peak(few) + 200_000


@pytest.mark.skipif(not HYMENOPTERA.exists(), reason="FROSTLINE_DATA has no hymenoptera.zip")
def test_real_photographs_straight_from_their_zip() -> None:
    dataset = load_archive(HYMENOPTERA)
    assert (len(dataset), dataset.class_names, dataset.notes) == (398, ("ants", "bees"), ())
    splits = make_splits(dataset)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (196, 153, 49)
    pixels, unreadable = read_pixels(dataset, size=64, resize_mode="crop")
    assert unreadable == ()
    assert pixels.read(splits.val)[0].shape == (153, 64, 64, 3)
