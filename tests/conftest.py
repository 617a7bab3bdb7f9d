"""Fixtures for all tests: small real pictures on disk, tiny trainings, and where large real data may be."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frostline._torchvision import ensure_importable
from frostline.config import TrainConfig

ensure_importable()
torch.set_num_threads(1)  # tiny networks are quicker so

TINY_BACKBONE = "test_efficientnet"
"""A backbone of timm's with 360,000 parameters, made for tests."""


def write_pictures(folder: Path, classes: dict[str, int], side: int = 40, seed: int = 0) -> Path:
    """Write noisy JPEG pictures, each class in its own colour, into one folder a class."""
    rng = np.random.default_rng(seed)
    for position, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        colour = np.roll([220, 110, 40], position)
        for number in range(count):
            noise = rng.normal(0, 40, (side, side + number % 7, 3))
            pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.jpg", quality=92)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 60 pictures in three classes."""
    return write_pictures(tmp_path / "photos", {"apple": 20, "leaf": 20, "sky": 20})


@pytest.fixture(scope="session", name="write_pictures")
def write_pictures_fixture() -> Callable[..., Path]:
    """`write_pictures`, for tests that want pictures of their own."""
    return write_pictures


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., TrainConfig]:
    """Options of a training that takes a second; give `runs_dir`, and any option to change it."""

    def make(**options: object) -> TrainConfig:
        quick = {"backbone": TINY_BACKBONE, "weights": "none", "size": 64, "epochs": 2, "batch_size": 8}
        return TrainConfig.make(**{**quick, "trainable_layers": 6, "device": "cpu", **options})

    return make


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it are skipped where it is absent."""
    return _folder("FROSTLINE_DATA")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of pretrained weights; tests that need it are skipped where it is absent."""
    return _folder("FROSTLINE_WEIGHTS")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} does not name a folder with the real files")
    return Path(value)
