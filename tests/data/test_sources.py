import zipfile
from pathlib import Path

import pytest
from PIL import Image

from frostline.data.sources import load_dataset
from frostline.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "0.png")
    return tmp_path / "photos"


def test_a_name_a_folder_and_an_archive(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in photos.rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path))
    assert len(load_dataset("digits")) == 1797
    folder, packed = load_dataset(str(photos)), load_dataset(tmp_path / "photos.zip")
    assert folder.class_names == packed.class_names == ("a", "b")
    assert folder.name == packed.name == "photos"


def test_a_name_goes_before_a_folder_and_a_path_never_means_a_name(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.rename(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("digits")) == 1797
    assert len(load_dataset("./digits")) == len(load_dataset(Path("digits"))) == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar-10", "did you mean cifar10"),
        ("DIGITS", "did you mean digits"),
        ("nowhere/at/all", "no such folder, archive or dataset: nowhere/at/all"),
        ("x" * 5000, "cannot open x"),
    ],
)
def test_what_is_not_there(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(source)


def test_a_picture_is_no_dataset(photos: Path) -> None:
    with pytest.raises(DataError, match="neither a folder nor a whole zip or tar archive"):
        load_dataset(photos / "a" / "0.png")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        load_dataset(tmp_path)
