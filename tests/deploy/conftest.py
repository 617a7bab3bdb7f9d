"""A small classifier with all that an artefact has to carry, and real pictures of many shapes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from frostline.data.dataset import Picture
from frostline.model.backbone import load_backbone
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.preprocessing import Preprocessing
from frostline.model.trust import TrainingFeatures, Trust
from frostline.results.calibration import Scaling

SIZE = 64
CLASSES = ("apple", 'leaf "<i>', "空 🌤", "تفاح")


def make_carrier(resize_mode: str = "crop") -> NetworkClassifier:
    """Random weights with logits that differ; scaled, unsure below a threshold, and with distances."""
    torch.manual_seed(0)
    backbone = load_backbone("test_efficientnet", weights="none", size=SIZE)
    architecture = Architecture("test_efficientnet", 16, "silu", 0.2)
    network = architecture.add_head(backbone, len(CLASSES)).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.2, 0.6)
    with torch.no_grad():
        logits = network(torch.randn(8, 3, SIZE, SIZE))
        network.head.get_parameter("4.weight").mul_(2 / logits.std())
    preprocessing = Preprocessing(SIZE, (0.48, 0.45, 0.4), (0.23, 0.22, 0.21), resize_mode)  # type: ignore[arg-type]
    features = np.random.default_rng(0).normal(size=(50, backbone.features)).astype(np.float32)
    training = TrainingFeatures.fit(features).with_threshold(np.array([0.88], np.float32))
    trust = Trust(Scaling(0.7, 0.4, 1.3), 0.7, training)
    return NetworkClassifier(architecture, network, preprocessing, CLASSES, {"dataset": "made"}, trust)


def make_pictures(shapes: list[tuple[int, int]]) -> list[Picture]:
    """Soft noise in colours, as photographs are; no two alike."""
    rng = np.random.default_rng(1)
    pictures: list[NDArray[np.uint8]] = []
    for height, width in shapes:
        coarse = rng.integers(0, 256, (height // 6 + 2, width // 6 + 2, 3), dtype=np.uint8)
        pictures.append(np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)))
    return pictures


@pytest.fixture(scope="session")
def carrier() -> NetworkClassifier:
    """`make_carrier`, for tests that change nothing in it."""
    return make_carrier()


@pytest.fixture(scope="session")
def shapes() -> list[Picture]:
    """Pictures smaller and larger than the input, square, wide and tall."""
    sizes = [(64, 64), (20, 30), (31, 17), (100, 70), (64, 200), (9, 64), (80, 80), (300, 401), (65, 64), (1, 1)]
    return make_pictures(sizes)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a train and a val split of pictures of many shapes, in the carrier's classes."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(2)
    for split, count in (("train", 6), ("val", 6)):
        for place, name in enumerate(CLASSES):
            where = folder / split / name.replace("/", "_")
            where.mkdir(parents=True)
            sides = [tuple(map(int, rng.integers(40, 140, 2))) for _ in range(count)]
            for number, picture in enumerate(make_pictures(sides)):  # type: ignore[arg-type]
                Image.fromarray(np.roll(picture, place, axis=2)).save(where / f"{number}.png")
    return folder
