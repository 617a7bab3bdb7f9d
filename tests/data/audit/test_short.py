"""The short check: copies, leakage, contradictions and lopsided classes, from pixels and labels alone."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile

from frostline.data.audit.short import short_check
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits


def lines_of(dataset: Dataset) -> list[str]:
    """What the short check says of a dataset."""
    pixels, _ = read_pixels(dataset, size=32, resize_mode="crop")
    return short_check(dataset, make_splits(dataset), pixels.digests(range(len(dataset))))


def test_sound_pictures_are_passed_in_silence(photos: Path) -> None:
    assert lines_of(load_dataset(photos)) == []


def test_copies_across_splits_and_under_two_labels_are_said(
    tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    for seed, split in enumerate(("train", "test")):
        write_pictures(tmp_path / "p" / split, {"apple": 5, "sky": 5}, seed=seed)
    copyfile(tmp_path / "p/train/apple/000.jpg", tmp_path / "p/test/apple/copy.jpg")
    copyfile(tmp_path / "p/train/sky/000.jpg", tmp_path / "p/train/apple/other.jpg")
    said = "\n".join(lines_of(load_dataset(tmp_path / "p")))
    assert "2 pictures have the same pixels as another one" in said
    assert "leakage: 1 test pictures" in said
    assert "contradictions: 1 groups" in said


def test_odd_classes_are_said(tmp_path: Path, write_pictures: Callable[..., Path]) -> None:
    write_pictures(tmp_path / "p", {"Green apple": 40, "green_apple": 5})
    said = "\n".join(lines_of(load_dataset(tmp_path / "p")))
    assert "the largest class has 8 times as many pictures" in said
    assert "--class-weights balanced" in said
    assert "Green apple and green_apple may be one class" in said
