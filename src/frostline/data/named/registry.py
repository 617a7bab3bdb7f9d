"""The datasets that frostline knows by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from frostline.data.dataset import Dataset
from frostline.data.named import cifar
from frostline.data.named.cifar import CIFAR10, CIFAR100, Cifar
from frostline.data.named.digits import LICENCE as DIGITS_LICENCE
from frostline.data.named.digits import load_digits
from frostline.data.named.locations import dataset_folders
from frostline.data.named.solar_cells import LICENCE as SOLAR_CELLS_LICENCE
from frostline.data.named.solar_cells import find_solar_cells, load_solar_cells
from frostline.data.named.torchvision import (
    TORCHVISION_DATASETS,
    TorchvisionDataset,
    find_torchvision,
    load_torchvision,
)
from frostline.errors import DataError, did_you_mean


@dataclass(frozen=True)
class NamedDataset:
    """A dataset that can be asked for by name.

    `load` and `is_here` take the folder where the user keeps datasets, or None; `load` raises `DataError`. `note`
    says what getting the dataset takes.
    """

    name: str
    pictures: int
    classes: int
    licence: str
    load: Callable[[Path | None], Dataset]
    is_here: Callable[[Path | None], bool]
    note: str


class NamedRow(NamedTuple):
    """One row of the list of named datasets; `here` tells whether it can be loaded without a download."""

    name: str
    pictures: int
    classes: int
    licence: str
    here: bool
    note: str


def load_named(name: str, data_dir: Path | None = None) -> Dataset:
    """Load a named dataset, whatever the case of its letters.

    Its files are looked for in `data_dir` (else `FROSTLINE_DATA`), then in the cache, then downloaded. Raises
    `DataError` where there is no such dataset, or its files are damaged or cannot be had.
    """
    dataset = NAMED.get(name.lower())
    if dataset is None:
        hint = did_you_mean(name, NAMED) or f"; there are {', '.join(NAMED)}"
        raise DataError(f"no dataset is named {name}{hint}")
    loaded = dataset.load(data_dir)
    return replace(loaded, source=dataset.name, notes=(*loaded.notes, f"{dataset.name} was read from {loaded.source}"))


def list_named(data_dir: Path | None = None) -> list[NamedRow]:
    """All named datasets, and whether each is on this machine. Raises `DataError` where `data_dir` does not exist."""
    return [
        NamedRow(each.name, each.pictures, each.classes, each.licence, each.is_here(data_dir), each.note)
        for each in NAMED.values()
    ]


def _cifar(spec: Cifar) -> NamedDataset:
    return NamedDataset(
        spec.name,
        60_000,
        spec.classes,
        cifar.LICENCE,
        partial(cifar.load_cifar, spec),
        lambda data_dir: cifar.find_cifar(spec, dataset_folders(data_dir)) is not None,
        "170 MB to download",
    )


def _torchvision(spec: TorchvisionDataset) -> NamedDataset:
    return NamedDataset(
        spec.name,
        spec.pictures,
        spec.classes,
        spec.licence,
        partial(load_torchvision, spec),
        lambda data_dir: find_torchvision(spec, dataset_folders(data_dir)) is not None,
        f"{spec.megabytes:,} MB to download",
    )


_DIGITS = NamedDataset(
    "digits", 1_797, 10, DIGITS_LICENCE, lambda _: load_digits(), lambda _: True, "comes with scikit-learn"
)
_SOLAR_CELLS = NamedDataset(
    "solar-cells",
    2_624,
    2,
    SOLAR_CELLS_LICENCE,
    lambda _: load_solar_cells(),
    lambda _: find_solar_cells() is not None,
    "comes with the extra frostline[solar-cells]",
)

NAMED: Mapping[str, NamedDataset] = {
    each.name: each
    for each in (
        _cifar(CIFAR10),
        _cifar(CIFAR100),
        _DIGITS,
        _SOLAR_CELLS,
        *(_torchvision(spec) for spec in TORCHVISION_DATASETS),
    )
}
"""Every named dataset by its name, in the order in which they are listed."""
