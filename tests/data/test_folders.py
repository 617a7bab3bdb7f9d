import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data.folders import list_folder, load_folder
from frostline.errors import DataError


def save_picture(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path)


def test_a_folder_becomes_a_dataset(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    save_picture(root / "a" / "red.png")
    save_picture(root / "b" / "sub" / "blue é 🙂.png", "blue")
    dataset = load_folder(root)
    assert (dataset.name, dataset.source, dataset.class_names) == ("photos", str(root), ("a", "b"))
    assert [sample.path for sample in dataset.samples] == ["a/red.png", "b/sub/blue é 🙂.png"]
    np.testing.assert_array_equal(dataset.picture(1), np.full((6, 8, 3), (0, 0, 255), np.uint8))


def test_links_are_followed_but_never_round_in_circles(tmp_path: Path) -> None:
    save_picture(tmp_path / "elsewhere" / "0.png")
    save_picture(tmp_path / "root" / "a" / "0.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "again").symlink_to(tmp_path / "root")
    assert sorted(list_folder(tmp_path / "root").files) == ["a/0.png", "b/0.png"]


def test_a_link_to_nothing_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "a" / "0.png")
    save_picture(tmp_path / "b" / "0.png")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nothing.png")
    dataset = load_folder(tmp_path)
    assert [sample.path for sample in dataset.samples] == ["a/0.png", "a/gone.png", "b/0.png"]
    with pytest.raises(DataError, match=r"gone\.png: No such file"):
        dataset.picture(1)


def test_pipes_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list_folder(tmp_path).files == ()


def test_an_empty_class_folder_is_listed(tmp_path: Path) -> None:
    save_picture(tmp_path / "a" / "0.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="class folder b holds no pictures"):
        load_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may open any folder")
def test_a_folder_that_may_not_be_opened_is_named(tmp_path: Path) -> None:
    save_picture(tmp_path / "a" / "0.png")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot open the folder .*a: Permission denied"):
            load_folder(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o700)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot open the folder .*nowhere: No such file"):
        load_folder(tmp_path / "nowhere")
