import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline._torchvision import ensure_importable
from frostline.data.dataset import Dataset
from frostline.data.named.torchvision import TORCHVISION_DATASETS, TorchvisionDataset, load_torchvision
from frostline.errors import DataError

SPECS = {spec.name: spec for spec in TORCHVISION_DATASETS}
Pictures = dict[str, tuple[str, int]]
"""Grey level of every picture's path, as split and target."""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FROSTLINE_DATA", raising=False)
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def datasets() -> Any:
    ensure_importable()
    from torchvision import datasets

    return datasets


def _draw(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (grey, grey, grey)).save(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _greys(dataset: Dataset) -> list[tuple[str | None, str, int]]:
    """Split, class name and rounded grey level of every picture."""
    return [
        (sample.split, dataset.class_names[sample.target], int(dataset.picture(index).mean() / 10 + 0.5) * 10)
        for index, sample in enumerate(dataset.samples)
    ]


def _load(name: str, root: Path, pictures: int, classes: int = 2) -> Dataset:
    dataset = load_torchvision(replace(SPECS[name], pictures=pictures, classes=classes), root)
    assert len({sample.path for sample in dataset.samples}) == len(dataset) == pictures
    assert dataset.notes == ()
    assert dataset.licence
    return dataset


def test_eurosat_has_no_splits(tmp_path: Path) -> None:
    for grey, file in enumerate(("Forest/Forest_1.jpg", "River/River_1.jpg", "River/River_2.jpg"), 1):
        _draw(tmp_path / "eurosat" / "2750" / file, grey * 20)
    dataset = _load("eurosat", tmp_path, 3)
    assert _greys(dataset) == [(None, "Forest", 20), (None, "River", 40), (None, "River", 60)]
    assert dataset.samples[0].path == "eurosat/2750/Forest/Forest_1.jpg"


def test_dtd_has_three_splits(tmp_path: Path) -> None:
    grey = 0
    for split in ("train", "val", "test"):
        names = [f"{name}/{name}_{split}.jpg" for name in ("banded", "woven")]
        _write(tmp_path / "dtd" / "dtd" / "labels" / f"{split}1.txt", "\n".join(names))
        for name in names:
            grey += 20
            _draw(tmp_path / "dtd" / "dtd" / "images" / name, grey)
    greys = _greys(_load("dtd", tmp_path, 6))
    assert [split for split, _, _ in greys] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert [(name, grey) for _, name, grey in greys] == [
        (name, (index + 1) * 20) for index, name in enumerate(["banded", "woven"] * 3)
    ]


def test_food101(tmp_path: Path) -> None:
    for split in ("train", "test"):
        names = {name: [f"{name}/{split}"] for name in ("baklava", "ramen")}
        _write(tmp_path / "food-101" / "meta" / f"{split}.json", json.dumps(names))
        for grey, name in enumerate(names, 1):
            _draw(tmp_path / "food-101" / "images" / name / f"{split}.jpg", grey * 40)
    assert _greys(_load("food101", tmp_path, 4)) == [
        *[("train", "baklava", 40), ("train", "ramen", 80), ("test", "baklava", 40), ("test", "ramen", 80)]
    ]


def test_oxford_pets_trains_on_trainval(tmp_path: Path) -> None:
    base = tmp_path / "oxford-iiit-pet"
    for split, numbers in {"trainval": "12", "test": "3"}.items():
        lines = [
            f"{name}_{number} {target} 1 1" for number in numbers for target, name in ((1, "Abyssinian"), (2, "beagle"))
        ]
        _write(base / "annotations" / f"{split}.txt", "\n".join(lines))
        for line in lines:
            image, target, *_ = line.split()
            _draw(base / "images" / f"{image}.jpg", 40 * int(target))
    greys = _greys(_load("oxfordiiitpet", tmp_path, 6))
    assert greys == [
        (split, *pet) for split in ("train", "train", "test") for pet in (("Abyssinian", 40), ("Beagle", 80))
    ]


def test_traffic_signs_have_names_and_need_every_folder(tmp_path: Path) -> None:
    base = tmp_path / "gtsrb"
    for target in range(43):
        _draw(base / "GTSRB" / "Training" / f"{target:05}" / "00000.ppm", target * 5)
    _draw(base / "GTSRB" / "Final_Test" / "Images" / "00000.ppm", 200)
    _draw(base / "GTSRB" / "Final_Test" / "Images" / "00001.ppm", 220)
    with io.StringIO(newline="") as text:
        rows = [["Filename", "ClassId"], ["00000.ppm", "14"], ["00001.ppm", "42"]]
        csv.writer(text, delimiter=";").writerows(rows)
        _write(base / "GT-final_test.csv", text.getvalue())
    dataset = _load("gtsrb", tmp_path, 45, classes=43)
    assert dataset.class_names[dataset.samples[40].target] == "roundabout mandatory"
    assert _greys(dataset)[-2:] == [
        ("test", "stop", 200),
        ("test", "end of no passing for vehicles over 3.5 t", 220),
    ]
    (base / "GTSRB" / "Training" / "00007" / "00000.ppm").unlink()
    (base / "GTSRB" / "Training" / "00007").rmdir()
    with pytest.raises(DataError, match=r"gtsrb in .* trains on 42 classes instead of 43"):
        load_torchvision(replace(SPECS["gtsrb"], pictures=43), tmp_path)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_flowers_are_listed_by_number(tmp_path: Path, datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    base = tmp_path / "flowers-102"
    for number in range(1, 7):
        _draw(base / "jpg" / f"image_{number:05}.jpg", number * 20)
    savemat(base / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2]])})
    savemat(base / "setid.mat", {"trnid": [[6, 1]], "valid": [[2, 3]], "tstid": [[4, 5]]})
    files = {
        "label": ("imagelabels.mat", _md5(base / "imagelabels.mat")),
        "setid": ("setid.mat", _md5(base / "setid.mat")),
    }
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)
    monkeypatch.setattr(datasets.Flowers102, "classes", ["pink primrose", "sweet pea"])
    assert _greys(_load("flowers102", tmp_path, 6)) == [
        ("train", "sweet pea", 120),
        ("train", "pink primrose", 20),
        ("val", "sweet pea", 40),
        ("val", "pink primrose", 60),
        ("test", "sweet pea", 80),
        ("test", "pink primrose", 100),
    ]


def test_stl10_is_read_into_arrays(tmp_path: Path, datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "stl10_binary"
    base.mkdir()
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    for split, part in {"train": slice(0, 2), "test": slice(2, 4)}.items():
        # the official files go through every picture channel by channel, column by column
        (base / f"{split}_X.bin").write_bytes(pictures[part].transpose(0, 3, 2, 1).tobytes())
        (base / f"{split}_y.bin").write_bytes(bytes([2, 1]))
    _write(base / "class_names.txt", "airplane\nbird\n")
    for split in ("train", "test"):
        names = [f"{split}_X.bin", f"{split}_y.bin"]
        monkeypatch.setattr(datasets.STL10, f"{split}_list", [[name, _md5(base / name)] for name in names])
    dataset = _load("stl10", tmp_path, 4)
    assert dataset.targets.tolist() == [1, 0, 1, 0]
    assert [sample.path for sample in dataset.samples] == ["train/00000", "train/00001", "test/00000", "test/00001"]
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(dataset.picture(index), picture)


def _house_numbers() -> tuple[np.ndarray[Any, np.dtype[np.uint8]], bytes]:
    """Twelve pictures (12, 32, 32, 3) of every digit from 1 to 10 and 1, 2, and their file."""
    from scipy.io import savemat

    pictures = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    savemat(file, {"X": pictures.transpose(1, 2, 3, 0), "y": np.array([[*range(1, 11), 1, 2]], dtype=np.uint8).T})
    return pictures, file.getvalue()


def _serve_house_numbers(server: Any, datasets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, content = _house_numbers()
    md5 = hashlib.md5(content).hexdigest()
    files = {split: [f"{server.url}/{split}.mat", f"{split}_32x32.mat", md5] for split in ("train", "test")}
    monkeypatch.setattr(datasets.SVHN, "split_list", files)
    server.files.update({"train.mat": content, "test.mat": content})


def test_svhn_is_downloaded_into_the_cache_once(
    server: Any, datasets: Any, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve_house_numbers(server, datasets, monkeypatch)
    for _ in range(2):
        dataset = load_torchvision(replace(SPECS["svhn"], pictures=24), None)
        assert dataset.targets.tolist() == [*range(1, 10), 0, 1, 2] * 2
        np.testing.assert_array_equal(dataset.picture(14), _house_numbers()[0][2])
    assert sorted(path.name for path in empty_cache.iterdir()) == ["svhn"]
    assert sorted(set(server.requests)) == ["test.mat", "train.mat"]


def test_a_download_with_another_checksum_is_not_placed(
    server: Any, datasets: Any, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve_house_numbers(server, datasets, monkeypatch)
    server.files["test.mat"] += b"?"
    with pytest.raises(DataError, match=r"cannot download svhn \(246 MB\)") as caught:
        load_torchvision(SPECS["svhn"], None)
    assert "\n" not in str(caught.value)
    assert not (empty_cache / "svhn").exists()


def test_no_network_is_one_line(datasets: Any, monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets.DTD, "_URL", "http://127.0.0.1:9/dtd.tar.gz")
    with pytest.raises(DataError, match=r"cannot download dtd .*refused") as caught:
        load_torchvision(SPECS["dtd"], None)
    assert "\n" not in str(caught.value)
    assert not (empty_cache / "dtd").exists()


def test_what_an_interrupted_download_unpacked_is_unpacked_again(
    server: Any, datasets: Any, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for split in ("train", "val", "test"):
            archive.writestr(f"dtd/labels/{split}1.txt", f"banded/{split}.jpg\nwoven/{split}.jpg\n")
    server.files["dtd.zip"] = file.getvalue()
    monkeypatch.setattr(datasets.DTD, "_URL", f"{server.url}/dtd.zip")
    monkeypatch.setattr(datasets.DTD, "_MD5", hashlib.md5(file.getvalue()).hexdigest())
    (empty_cache / ".dtd.partial" / "dtd" / "dtd" / "labels").mkdir(parents=True)
    dataset = load_torchvision(replace(SPECS["dtd"], classes=2, pictures=6), None)
    assert len(dataset) == 6
    assert [path.name for path in empty_cache.iterdir()] == ["dtd"]


def _damage_index(root: Path) -> None:
    (root / "food-101" / "meta" / "test.json").write_text("{")


def _remove_index(root: Path) -> None:
    (root / "food-101" / "meta" / "test.json").unlink()


@pytest.mark.parametrize("damage", [_damage_index, _remove_index])
def test_damaged_files_are_named(damage: Callable[[Path], None], tmp_path: Path) -> None:
    test_food101(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match="cannot read food101 in") as caught:
        load_torchvision(SPECS["food101"], tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_pictures_are_noted(tmp_path: Path) -> None:
    test_food101(tmp_path)
    dataset = load_torchvision(replace(SPECS["food101"], classes=2), tmp_path)
    assert dataset.notes == ("4 pictures are here, where food101 has 101,000",)


@pytest.mark.parametrize("spec", TORCHVISION_DATASETS, ids=lambda spec: spec.name)
def test_every_dataset_is_one_of_torchvisions(spec: TorchvisionDataset, datasets: Any) -> None:
    assert hasattr(datasets, spec.class_name)
    assert len(set(spec.class_names or ())) in {0, spec.classes}
    assert len(getattr(getattr(datasets, spec.class_name), "classes", range(spec.classes))) == spec.classes
