from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from frostline.data.dataset import Picture
from frostline.errors import DataError
from frostline.results.drawing.gallery import plot_misclassified
from frostline.results.predictions import Predictions

CLASS_NAMES = ("a_$x$", "🐱 猫", "שלום עולם שלום עולם שלום עולם")


def make_predictions(pictures: int, mistakes: int) -> Predictions:
    """The first `mistakes` pictures are wrong, with growing confidence."""
    targets = np.arange(pictures, dtype=np.int64) % 3
    wrong = np.arange(pictures) < mistakes
    labels = np.where(wrong, (targets + 1) % 3, targets)
    confidences = np.where(wrong, np.linspace(0.5, 1, pictures), 1)
    probabilities = np.zeros((pictures, 3))
    probabilities[np.arange(pictures), labels] = confidences
    probabilities[np.arange(pictures), (labels + 1) % 3] = 1 - confidences
    paths = tuple(f"test/{CLASS_NAMES[target]}/{index}.jpg" for index, target in enumerate(targets))
    return Predictions(paths, targets, probabilities.astype(np.float32), CLASS_NAMES)


def reader(read: list[str], shape: tuple[int, int] = (8, 8)) -> Callable[[str], Picture]:
    """Give green pictures of this height and width, and note down the paths in `read`."""

    def read_picture(path: str) -> Picture:
        read.append(path)
        return np.full((*shape, 3), (0, 200, 0), dtype=np.uint8)

    return read_picture


def pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int64)


@pytest.mark.parametrize(("mistakes", "limit"), [(1, 24), (5, 24), (12, 7)])
def test_the_most_confident_mistakes_are_shown_first(tmp_path: Path, mistakes: int, limit: int) -> None:
    predictions = make_predictions(20, mistakes)
    read: list[str] = []
    plot_misclassified(predictions, reader(read), tmp_path / "misclassified.png", limit)
    assert read == [predictions.paths[index] for index in reversed(range(mistakes))][:limit]
    assert pixels(tmp_path / "misclassified.png").shape[1] > 600


@pytest.mark.parametrize("shape", [(1, 1), (2000, 3), (1, 2000), (600, 800)])
def test_pictures_of_every_shape_are_drawn(tmp_path: Path, shape: tuple[int, int]) -> None:
    plot_misclassified(make_predictions(3, 1), reader([], shape), tmp_path / "misclassified.png")
    red, green, blue = np.moveaxis(pixels(tmp_path / "misclassified.png"), 2, 0)
    assert ((green > red + 20) & (green > blue + 20)).any()


def test_caption_names_both_classes_the_confidence_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_arguments, **_options: figures.append(figure))
    plot_misclassified(make_predictions(20, 1), reader([]), tmp_path / "misclassified.png")
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts[0] == "a_$x$"
    assert texts[1] == "→"
    assert texts[2].startswith("🐱")
    assert texts[3:] == ["50.0%", "0.jpg"]


def test_no_mistakes_is_a_picture_that_says_so(tmp_path: Path) -> None:
    read: list[str] = []
    plot_misclassified(make_predictions(20, 0), reader(read), tmp_path / "misclassified.png")
    assert read == []
    assert len(np.unique(pixels(tmp_path / "misclassified.png"))) > 2


def test_a_picture_that_cannot_be_read_is_never_substituted(tmp_path: Path) -> None:
    def fail(path: str) -> Picture:
        raise DataError(f"{path}: truncated")

    with pytest.raises(DataError, match="truncated"):
        plot_misclassified(make_predictions(3, 1), fail, tmp_path / "misclassified.png")
    assert list(tmp_path.iterdir()) == []
