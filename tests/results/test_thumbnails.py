"""Thumbnails come back as they were written, small and whole."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.errors import DataError
from frostline.results.thumbnails import SIDE, Thumbnails, data_uri, encode_thumbnail, explained, save_thumbnails


def picture(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A smooth picture, which a JPEG keeps well."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 200 // height, columns * 200 // width, rows * 0 + 90], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(300, 200, (SIDE, 96)), (200, 300, (96, SIDE)), (SIDE, SIDE, (SIDE, SIDE)), (32, 20, (32, 20)), (1, 1, (1, 1))],
)
def test_a_thumbnail_is_a_jpeg_of_at_most_its_side(height: int, width: int, expected: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(encode_thumbnail(picture(height, width))))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert (image.height, image.width) == expected


def test_a_side_of_ones_own() -> None:
    assert Image.open(io.BytesIO(encode_thumbnail(picture(100, 50), side=40))).size == (20, 40)


def test_a_thumbnail_looks_like_its_picture() -> None:
    shown = np.asarray(Image.open(io.BytesIO(encode_thumbnail(picture(60, 60)))))
    assert np.abs(shown.astype(int) - picture(60, 60)).mean() < 4


def test_saved_thumbnails_come_back(tmp_path: Path) -> None:
    jpegs = {"0": encode_thumbnail(picture(20, 30)), "12": encode_thumbnail(picture(200, 30)), explained(12): b"x"}
    save_thumbnails(iter(jpegs.items()), tmp_path / "pictures.zip")
    loaded = Thumbnails.load(tmp_path / "pictures.zip")
    assert loaded.jpegs == jpegs
    uri = loaded.uri("12")
    assert uri == data_uri(jpegs["12"])
    assert uri is not None
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data) == jpegs["12"]
    assert loaded.uri("1") is None
    assert loaded.uri(explained(12)) is not None
    assert loaded.uri(explained(0)) is None


def test_no_thumbnails_are_an_archive_too(tmp_path: Path) -> None:
    save_thumbnails([], tmp_path / "pictures.zip")
    assert Thumbnails.load(tmp_path / "pictures.zip").jpegs == {}


def test_the_same_pictures_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        save_thumbnails([("0", b"jpeg")], tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06"])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pictures.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"pictures\.zip") as raised:
        Thumbnails.load(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_damaged_byte_gives_the_pictures_or_an_error(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("0.jpg", b"the bytes of a picture " * 3)
    whole = path.read_bytes()
    jpegs = Thumbnails.load(path).jpegs
    damaged = [whole[:end] for end in range(0, len(whole), 3)]
    damaged += [
        whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        for place in range(len(whole))
        for bit in (1, 8, 0xFF)
    ]
    for content in damaged:
        path.write_bytes(content)
        try:
            found = Thumbnails.load(path).jpegs
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert set(found.values()) <= set(jpegs.values())
