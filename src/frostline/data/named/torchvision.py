"""The classification datasets that torchvision downloads, checks and lists; their files are decoded by frostline."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from frostline.data.arrays import ArrayName, array_dataset
from frostline.data.dataset import Dataset, Sample
from frostline.data.folders import FileStore
from frostline.data.named.download import one_line
from frostline.data.named.locations import dataset_folders, datasets_cache
from frostline.errors import DataError

_TRAIN_TEST: Mapping[ArrayName, Mapping[str, str]] = {"train": {"split": "train"}, "test": {"split": "test"}}
_TRAIN_VAL_TEST: Mapping[ArrayName, Mapping[str, str]] = {
    "train": {"split": "train"},
    "val": {"split": "val"},
    "test": {"split": "test"},
}
_TORCHVISION_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    HTTPException,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What torchvision raises on files that are absent, damaged or cannot be had."""


@dataclass(frozen=True)
class TorchvisionDataset:
    """What torchvision's class `class_name` does not say itself.

    `places` are what it unpacks below its root, all of which are there when the dataset is. `splits` has the
    arguments that make torchvision give each split. `megabytes` is the size of the download.
    """

    class_name: str
    pictures: int
    classes: int
    licence: str
    megabytes: int
    places: tuple[str, ...]
    splits: Mapping[ArrayName, Mapping[str, str]] = field(default_factory=lambda: _TRAIN_TEST)
    class_names: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The name that the user gives."""
        return self.class_name.lower()


def load_torchvision(spec: TorchvisionDataset, data_dir: Path | None) -> Dataset:
    """Load from `data_dir` (else `FROSTLINE_DATA`), else the cache, else download into the cache.

    Raises `DataError` where the files are damaged or cannot be downloaded.
    """
    root = find_torchvision(spec, dataset_folders(data_dir)) or _download(spec)
    try:
        parts = {split: _part(spec, root, split) for split in spec.splits}
    except _TORCHVISION_ERRORS as error:
        raise DataError(
            f"cannot read {spec.name} in {root}: {one_line(error)}; delete it there to download it again"
        ) from error
    return _checked(spec, root, _dataset(spec, root, parts))


def find_torchvision(spec: TorchvisionDataset, folders: Sequence[Path]) -> Path | None:
    """The first folder that holds the dataset in torchvision's layout, itself or in a folder of the dataset's name."""
    roots = (root for folder in folders for root in (folder, folder / spec.name))
    return next((root for root in roots if all((root / place).exists() for place in spec.places)), None)


def _part(spec: TorchvisionDataset, root: Path, split: ArrayName, *, download: bool = False) -> Any:
    """Torchvision's own object for one split."""
    from frostline._torchvision import ensure_importable

    ensure_importable()
    from torchvision import datasets

    return getattr(datasets, spec.class_name)(root, download=download, **spec.splits[split])


def _download(spec: TorchvisionDataset) -> Path:
    """Download and unpack beside the final place, so that what is in the final place is whole."""
    root = datasets_cache() / spec.name
    partial = root.with_name(f".{spec.name}.partial")
    try:
        _forget_unpacked(spec, partial)
        partial.mkdir(parents=True, exist_ok=True)
        for split in spec.splits:
            _part(spec, partial, split, download=True)
        if root.exists():
            shutil.rmtree(root)
        partial.replace(root)
    except _TORCHVISION_ERRORS as error:
        raise DataError(
            f"cannot download {spec.name} ({spec.megabytes:,} MB) into {partial}: {one_line(error)}; "
            "without a network, unpack it into a folder as torchvision does and name that with --data-dir"
        ) from error
    return root


def _forget_unpacked(spec: TorchvisionDataset, partial: Path) -> None:
    """Remove what an interrupted call unpacked, which torchvision would take for whole; its archives can stay."""
    for place in (partial / place for place in spec.places):
        if place.is_dir():
            shutil.rmtree(place)


def _dataset(spec: TorchvisionDataset, root: Path, parts: Mapping[ArrayName, Any]) -> Dataset:
    class_names = spec.class_names or tuple(next(iter(parts.values())).classes)
    if all(isinstance(getattr(part, "data", None), np.ndarray) for part in parts.values()):
        arrays = {split: (part.data.transpose(0, 2, 3, 1), part.labels) for split, part in parts.items()}
        return array_dataset(spec.name, str(root), arrays, class_names, spec.licence)
    samples = tuple(
        Sample(Path(file).relative_to(root).as_posix(), int(target), None if split == "all" else split)
        for split, part in parts.items()
        for file, target in _files(part)
    )
    return Dataset(spec.name, str(root), samples, class_names, FileStore(root), spec.licence)


def _checked(spec: TorchvisionDataset, root: Path, dataset: Dataset) -> Dataset:
    """Refuse a dataset without all of its classes, whose targets would mean others; note that pictures are missing."""
    found = len({sample.target for sample in dataset.samples if sample.split in (None, "train")})
    if found != spec.classes or len(dataset.class_names) != spec.classes:
        raise DataError(
            f"{spec.name} in {root} trains on {found} classes instead of {spec.classes}; "
            "delete it there to download it again"
        )
    if len(dataset) == spec.pictures:
        return dataset
    note = f"{len(dataset):,} pictures are here, where {spec.name} has {spec.pictures:,}"
    return replace(dataset, notes=(*dataset.notes, note))


def _files(part: Any) -> Iterator[tuple[str | Path, int]]:
    """File and target of every picture, from the lists that torchvision's classes keep under different names."""
    for name in ("samples", "_samples"):
        if hasattr(part, name):
            return iter(getattr(part, name))
    files = part._images if hasattr(part, "_images") else part._image_files
    return zip(files, part._labels, strict=True)


_TRAFFIC_SIGNS = (
    "speed limit 20 km/h",
    "speed limit 30 km/h",
    "speed limit 50 km/h",
    "speed limit 60 km/h",
    "speed limit 70 km/h",
    "speed limit 80 km/h",
    "end of speed limit 80 km/h",
    "speed limit 100 km/h",
    "speed limit 120 km/h",
    "no passing",
    "no passing for vehicles over 3.5 t",
    "right of way at the next intersection",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no vehicles over 3.5 t",
    "no entry",
    "general caution",
    "dangerous curve to the left",
    "dangerous curve to the right",
    "double curve",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road work",
    "traffic signals",
    "pedestrians",
    "children crossing",
    "bicycles crossing",
    "beware of ice and snow",
    "wild animals crossing",
    "end of all speed and passing limits",
    "turn right ahead",
    "turn left ahead",
    "ahead only",
    "go straight or right",
    "go straight or left",
    "keep right",
    "keep left",
    "roundabout mandatory",
    "end of no passing",
    "end of no passing for vehicles over 3.5 t",
)

TORCHVISION_DATASETS = (
    TorchvisionDataset(
        "Flowers102",
        pictures=8_189,
        classes=102,
        licence="not stated by its authors",
        megabytes=345,
        places=("flowers-102/jpg", "flowers-102/imagelabels.mat", "flowers-102/setid.mat"),
        splits=_TRAIN_VAL_TEST,
    ),
    TorchvisionDataset(
        "OxfordIIITPet",
        pictures=7_349,
        classes=37,
        licence="CC BY-SA 4.0",
        megabytes=811,
        places=("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
        splits={"train": {"split": "trainval"}, "test": {"split": "test"}},
    ),
    TorchvisionDataset(
        "Food101",
        pictures=101_000,
        classes=101,
        licence="scientific fair use only",
        megabytes=4_996,
        places=("food-101/images", "food-101/meta"),
    ),
    TorchvisionDataset(
        "EuroSAT",
        pictures=27_000,
        classes=10,
        licence="MIT",
        megabytes=94,
        places=("eurosat/2750",),
        splits={"all": {}},
    ),
    TorchvisionDataset(
        "DTD",
        pictures=5_640,
        classes=47,
        licence="for research",
        megabytes=625,
        places=("dtd/dtd",),
        splits=_TRAIN_VAL_TEST,
    ),
    TorchvisionDataset(
        "GTSRB",
        pictures=39_270,
        classes=43,
        licence="not stated by its authors",
        megabytes=276,
        places=("gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"),
        class_names=_TRAFFIC_SIGNS,
    ),
    TorchvisionDataset(
        "STL10",
        pictures=13_000,
        classes=10,
        licence="not stated by its authors",
        megabytes=2_640,
        places=("stl10_binary",),
    ),
    TorchvisionDataset(
        "SVHN",
        pictures=99_289,
        classes=10,
        licence="non-commercial use only",
        megabytes=246,
        places=("train_32x32.mat", "test_32x32.mat"),
        class_names=tuple("0123456789"),
    ),
)
